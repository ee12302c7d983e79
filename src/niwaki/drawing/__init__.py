"""A figure as data, and as SVG that a style sheet colours.

May import: nothing else of niwaki.
"""
