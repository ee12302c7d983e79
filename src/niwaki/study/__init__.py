"""A study from its file to its results: specification, plan, store, workers, the run, timing, selection.

May import: training, measure, models, data, files, errors.
"""
