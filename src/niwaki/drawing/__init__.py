"""What a figure is made of, as data, and its picture: SVG that a style sheet colours. It knows nothing of studies.

May import: nothing else of niwaki.
"""
