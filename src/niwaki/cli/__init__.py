"""The command line: parse, call, print. Errors are one line; exit codes as documented.

May import everything below it; each command imports what it needs when it runs, so that --help is quick.
"""

from niwaki.cli.main import main

__all__ = ["main"]
