"""From a study to its report as a document: what each section says.

May import: reporting, reporting.charts, reporting.words, drawing, study, errors.
"""
