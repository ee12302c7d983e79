"""The C of a graph, with the bits of its reference: steps in order, addresses of buffers, constants, the text.

May import: codegen, kernels, files, errors.
"""
