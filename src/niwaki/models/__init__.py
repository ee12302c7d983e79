"""Networks and the file that keeps one: how a module is built, described, saved and had back.

May import: data, files, limits, errors.
"""
