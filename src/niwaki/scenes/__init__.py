"""Drawn photographs of garments, with the truth about each.

Tuning uses the `tuning` family of backgrounds and clutter, evaluation the other. `seen` shows them to vision.
May import: vision.
"""
