"""What a network costs and how good it is: parameters, MACs, bytes, memory, accuracy, latency.

It measures modules and plain callables and knows no runtime.
May import: models, tabular, errors.
"""
