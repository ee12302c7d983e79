"""Int8 files of other tools, as ONNX.

May import: models, limits, errors.
"""
