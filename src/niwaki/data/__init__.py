"""Datasets and preprocessing: where images come from, and how raw pixels reach a network.

May import: files, tabular, notify, errors, device.
"""
