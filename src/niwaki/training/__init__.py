"""The steps that make a network small: training, pruning, fine-tuning, quantization.

May import: codegen, measure, models, data, folders, randomness, tabular, errors.
"""
