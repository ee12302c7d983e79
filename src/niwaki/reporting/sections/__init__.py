"""From a study to its report as a document: the content of each section.

May import: reporting, reporting.charts, reporting.words, drawing, study, errors.
"""
