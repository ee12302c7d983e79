"""A study from its file to its results: specification, plan, store, workers, the run, timing, selection.

May import: callbacks, deploy, emit, codegen, compiled, toolchain, training, measure, models, data, folders, files,
randomness, notify, errors.
"""
