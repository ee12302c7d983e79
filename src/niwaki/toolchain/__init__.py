"""Compilers, targets and emulators: what makes and runs C for a processor. It knows nothing of networks.

May import: folders, files, errors.
"""
