"""A study from its file to its results: specification, plan, store, workers, the run, timing, selection.

May import: compress, measure, models, data, files, errors.
"""
