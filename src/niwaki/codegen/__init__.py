"""A quantized (QDQ) ONNX becomes integer C: read (`readers`), understood (`graph`), planned and written (`emit`).

`graph.reference` is what the C must equal, bit for bit.
May import: models, data, files, errors.
"""
