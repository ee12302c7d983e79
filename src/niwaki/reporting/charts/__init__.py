"""The data of every figure, apart from drawing: what is plotted against what, in which series.

May import: the tables, the view and the words.
"""
