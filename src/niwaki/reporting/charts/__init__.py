"""The data of every figure, apart from drawing: what is plotted against what, in which series.

May import: reporting, reporting.words, drawing, study.
"""
