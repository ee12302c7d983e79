"""A quantized (QDQ) ONNX as integers: read it (`readers`), represent it (`graph`); its `reference` is the contract.

May import: models, data, errors.
"""
