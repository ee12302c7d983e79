"""From a finished model to files that run: ONNX, int8, generated C, and the check that all forms agree.

May import: foreign, emit, codegen, compiled, toolchain, training, measure, models, data, folders, files, randomness,
tabular, notify, errors.
"""
