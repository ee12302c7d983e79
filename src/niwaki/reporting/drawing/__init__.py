"""Figures as SVG that a style sheet colours: their data come from `charts`.

May import: reporting.charts.
"""
