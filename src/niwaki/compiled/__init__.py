"""Generated C at work: called from Python, run on every target, and what it takes of a microcontroller.

A folder of C is known by its `model.h`; what wrote it is not.
May import: toolchain, folders, errors.
"""
