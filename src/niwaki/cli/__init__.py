"""The command line: parse, call, print. Errors are one line; exit codes as documented.

Each command imports what it needs when it runs, so --help is fast.
May import: api, search_report, reporting, search, study, board, deploy, data, tabular, errors, device.
"""

from niwaki.cli.entry import main

__all__ = ["main"]
