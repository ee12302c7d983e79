"""Whether a bundle suits a board, as far as a desk can tell: files, binaries, Python, words.

May import deploy.bundle and what that may; it changes nothing.
"""
