"""The data of every figure, without drawing: what is plotted against what, in which series.

May import: reporting, reporting.words, drawing, study.
"""
