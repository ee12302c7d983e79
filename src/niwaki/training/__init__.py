"""The steps that make a network small: training, pruning, fine-tuning.

May import: measure, models, data, files, errors.
"""
