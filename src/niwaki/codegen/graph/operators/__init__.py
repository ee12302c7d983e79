"""The layers of the integer graph, a module for each family: what a layer is, what it computes, how C does it.

A new layer is a class and an entry in `OPERATORS` of its family's module.
May import: codegen.graph.
"""
