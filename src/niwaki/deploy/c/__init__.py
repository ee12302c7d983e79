"""A quantized (QDQ) ONNX becomes integer C: read, fused, planned, written; `reference` is what the C must equal.

`qdq` reads into `graph`; `reference` runs a graph in NumPy; `lower`, `memory`, `emit` write the C; `library` compiles it.
"""
