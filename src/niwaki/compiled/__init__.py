"""Generated C at work: called from Python, run on every target, and measured for a microcontroller.

A folder of C is identified by its `model.h`; this package does not know what wrote it.
May import: toolchain, folders, errors.
"""
