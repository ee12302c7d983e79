"""A quantized (QDQ) ONNX becomes integer C: read, fused, planned, written. `reference` is what the C must equal.

May import: toolchain, models, data, folders, files, errors.
"""
