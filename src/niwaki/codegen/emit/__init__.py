"""From the graph to the text of the C: the steps in order, an address for each buffer, the constants.

May import: codegen.graph, errors.
"""
