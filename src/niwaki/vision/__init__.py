"""From a photograph to what the network sees: the garment found, cut out, bright on black, in integer C.

`c/` runs on boards and in browsers, `library` calls it, and `reference` (NumPy) is what it must equal, bit for bit.
May import: toolchain, errors.
"""
