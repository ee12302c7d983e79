"""Datasets and preprocessing: where images come from, and how raw pixels become a network's input.

May import: files, tabular, notify, errors, device.
"""
