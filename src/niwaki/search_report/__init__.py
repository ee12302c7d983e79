"""What people see of a search: the answer, the front, the history, on one page.

May import: reporting, drawing, search, study, files.
"""
