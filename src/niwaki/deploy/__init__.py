"""From a finished model to files that run: ONNX, int8, generated C, and the proof that all forms agree.

May import training, measure, models, data; never the study or the report.
"""
