"""The integer graph: its layers, what every bit of them must be (`reference`), and the steps of C that do them.

May import: data, errors.
"""
