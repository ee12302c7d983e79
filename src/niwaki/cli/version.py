"""`niwaki --version`."""

from __future__ import annotations

import typer


def print_version(asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"niwaki {version('niwaki')}")
        raise typer.Exit
