"""Files of int8 networks become the integer graph: what a file says is checked here, and nowhere after it.

May import: codegen.graph, models, errors.
"""
