"""Compilers, the processors that they compile for, and the emulators that run what they made: nothing of networks.

May import: folders, files, errors.
"""
