"""Drawn photographs of garments: with what is true of each, for tuning, calibration and figures.

What is tuned sees the `tuning` family of backgrounds and clutter, figures the other. `seen` shows them to vision.
May import: vision.
"""
