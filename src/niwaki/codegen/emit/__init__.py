"""From the graph to the text of C: the steps in order, a place in memory for each buffer, the constants.

May import: codegen.graph, errors.
"""
