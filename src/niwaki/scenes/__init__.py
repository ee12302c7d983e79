"""Photographs of garments that niwaki makes itself, with what is true of each: for tuning, calibration and figures.

Everything follows from a seed. What is tuned sees the `tuning` family of backgrounds and clutter, figures the other.
`seen` shows them to vision; the rest imports nothing of niwaki.
"""
