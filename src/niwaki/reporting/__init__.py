"""What people see of a study: tables as data, and their form in a terminal.

May import: study and all below it.
"""
