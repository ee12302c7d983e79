"""A figure as data, and as SVG that a style sheet colours. This package knows nothing about studies.

May import: nothing else of niwaki.
"""
