"""The layers of the integer graph, a module for each family: the layer, its definition, its C.

A new layer is a class and an entry in `OPERATORS` of its family's module.
May import: codegen.graph.
"""
