"""The integer graph: its layers, the definition of every bit (`reference`), and the steps of C that compute them.

May import: data, errors.
"""
