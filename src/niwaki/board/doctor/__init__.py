"""Whether a bundle suits a board, as far as a desktop can tell: files, binaries, Python, words. It changes nothing.

May import: board, folders, tabular, notify, errors, device.
"""
