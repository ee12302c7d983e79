"""The steps that make a network small: training, pruning, fine-tuning, quantization.

May import: measure, models, data, folders, randomness, errors.
"""
