"""From a study to its report as a document: what is said in each section.

May import: reporting, reporting.charts, reporting.words, drawing, study, errors.
"""
