"""Whether a bundle suits a board, as far as a desk can tell: files, binaries, Python, words.

May import what board may; it changes nothing.
"""
