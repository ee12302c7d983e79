"""A quantized (QDQ) ONNX becomes integer C: read, fused, planned, written. `reference` is what the C must equal.

`qdq` reads into a `graph`; `reference` runs it in NumPy; `lower`, `memory`, `emit`, `generate` write the C; `library`
compiles it for this machine, `on_target` for others.
"""
