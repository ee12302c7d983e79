"""Wording for typer's own messages: its help, and a command line that it refuses."""

from __future__ import annotations

import difflib
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from niwaki.errors import expectation


class Commands(TyperGroup):
    """A group whose help starts with `study`, and shows no type for flags, which take no value."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, as the help shows them."""
        return sorted(super().list_commands(ctx), key=lambda name: name != "study")

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _without_type(command.get_params(ctx))
        return command

    def get_params(self, ctx: Any) -> list[Any]:
        """The group's own options."""
        return _without_type(super().get_params(ctx))


def _without_type(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


def refusal(error: TyperException) -> str:
    """What is wrong with a command line, and which help explains it; empty if that help was just printed."""
    message = expectation(error.format_message().strip())
    if not message:
        return ""
    unknown = getattr(error, "option_name", None) or ""
    if close := difflib.get_close_matches(unknown, _options(error), n=1):
        message = f"No such option: {unknown}. Did you mean {close[0]}?"
    end = "" if message.endswith("?") else "."
    return f"{message.rstrip('.')}{end} See {_command(error)} --help."


def _options(error: TyperException) -> list[str]:
    """The options of the command."""
    context: typer.Context | None = getattr(error, "ctx", None)
    return [name for each in context.command.get_params(context) for name in each.opts] if context else []


def _command(error: TyperException) -> str:
    """The refused command, as typed."""
    context: typer.Context | None = getattr(error, "ctx", None)
    return " ".join(["niwaki", *(context.command_path.split()[1:] if context else ())])
