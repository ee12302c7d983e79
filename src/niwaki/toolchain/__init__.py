"""Compilers, targets and emulators: they build and run C for a processor. This package knows nothing about networks.

May import: folders, files, errors.
"""
