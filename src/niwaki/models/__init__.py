"""Networks and the model file: how a module is built, described, saved and loaded.

May import: data, files, limits, errors.
"""
