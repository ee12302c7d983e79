"""What people see of a study: tables, charts, and both on one page.

May import: live, drawing, study, measure, tabular, files, notify, errors, device.
"""
