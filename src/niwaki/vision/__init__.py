"""From a photograph to the network's input: the garment found, cut out, bright on black, in integer C.

`c/` runs on boards and in browsers, `library` calls it, and it must equal `reference` (NumPy), bit for bit.
May import: toolchain, errors.
"""
