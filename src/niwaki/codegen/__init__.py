"""Turn a quantized (QDQ) ONNX into integer C: read it (`readers`), represent it (`graph`), plan and write it (`emit`).

The C must equal `graph.reference`, bit for bit.
May import: kernels, models, data, files, errors.
"""
