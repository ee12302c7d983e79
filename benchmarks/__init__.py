"""Benchmarks: what niwaki costs and saves, against peers measured in the same run (`python -m benchmarks`).

They may import anything from niwaki; nothing imports them. See README.md beside this file.
"""
