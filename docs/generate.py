"""The reference pages that follow from the code: commands, keys of a study, Python. `make docs` writes them."""

from __future__ import annotations

import ast
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from docs.habits import habits_page
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import niwaki
import niwaki.callbacks
from niwaki.cli.main import app
from niwaki.study.spec import Experiment, SelectSpec, StudySpec
from niwaki.training.settings import FinetuneSettings, QatSettings

HERE = Path(__file__).parent / "reference"
COMMANDS = {
    "study run": ("run_study", "guides/studies.md"),
    "study show": ("open_study", "guides/studies.md"),
    "study copy": ("copy_study", "guides/studies.md"),
    "study new": ("new_study", "tutorials/your-own.md"),
    "report": ("report", "tutorials/reading-the-report.md"),
    "import": ("import_model", "guides/studies.md"),
    "inspect": ("inspect", "tutorials/microcontroller.md"),
    "export": ("export", "guides/exporting.md"),
    "quantize": ("quantize", "guides/int8.md"),
    "cost": ("cost", "guides/which-board.md"),
    "compress": ("compress", "tutorials/sixteen-kilobytes.md"),
    "verify": ("verify", "guides/exporting.md"),
    "bench": ("bench", "guides/exporting.md"),
    "bundle": ("bundle", "guides/board.md"),
    "watch": ("watch", "guides/board.md"),
    "doctor": ("doctor", "guides/board.md"),
}
"""The function of the same job in Python, and the page that tells how to use the command."""
MEANINGS = {
    FinetuneSettings: "\nAll other keys are those of `[train]`.",
    QatSettings: '\nAll other keys are those of `[train]`. Only `kind = "qat"` uses them.',
    Experiment: "\nWhat each column holds: [columns](../guides/studies.md#columns).",
    SelectSpec: "\nWhat a budget can limit: [choosing](../guides/studies.md#choosing).",
}
"""What follows the table of a section."""
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "at least"}


def main() -> None:
    """Write every page that follows from the code."""
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file in `reference/`."""
    return {
        "commands.md": commands_page(),
        "study-keys.md": keys_page(),
        "python.md": python_page(),
        "int8-onnx.md": habits_page(),
    }


# Commands


def commands_page() -> str:
    """Every command with its arguments and options."""
    found = dict(commands(typer.main.get_command(app)))
    lines = [
        "# Commands", "",
        "Every command has `--help` with an example. `niwaki --debug COMMAND` shows a traceback with an error.", "",
        "| command | in Python | how to use it |", "|---|---|---|",
    ]  # fmt: skip
    for name in found:
        function, page = COMMANDS.get(name, ("", ""))
        python = f"[`niwaki.{function}`](python.md)" if function in niwaki.__all__ else ""
        guide = f"[{title_of(page)}](../{page})" if page else ""
        lines.append(
            f"| [`niwaki {name}`](#{'niwaki ' + name}) | {python} | {guide} |".replace("(#niwaki ", "(#niwaki-")
        )
    lines = [line.replace("(#niwaki-study ", "(#niwaki-study-") for line in lines]
    for name, command in found.items():
        lines += ["", *command_section(name, command)]
    lines += ["", "## niwaki", "", "Options before the command:", "", *option_table(typer.main.get_command(app).params)]
    return "\n".join(lines) + "\n"


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """The commands of a group and of the groups in it, studies first."""
    for name, command in sorted(group.commands.items(), key=lambda entry: not hasattr(entry[1], "commands")):
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def command_section(name: str, command: Any) -> list[str]:
    """One command: what it does, its usage, its options, its example."""
    text, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
    arguments = [entry for entry in command.params if entry.param_type_name == "argument"]
    options = [entry for entry in command.params if entry.param_type_name == "option" and not entry.hidden]
    usage = " ".join([
        "niwaki", name, *(argument_usage(entry) for entry in arguments),
        *(f"{entry.opts[0]} {placeholder(entry)}" for entry in options if entry.required), "[OPTIONS]",
    ])  # fmt: skip
    lines = [f"## niwaki {name}", "", " ".join(text.split()) if "\n\n" not in text else text.strip(), ""]
    lines += ["```text", usage, "```", ""]
    if arguments:
        lines += ["| argument | default | meaning |", "|---|---|---|"]
        lines += [f"| `{cell(entry.metavar)}` | {default(entry)} | {cell(entry.help)} |" for entry in arguments] + [""]
    if options:
        lines += [*option_table(options), ""]
    if example:
        lines += ["```sh", example.strip(), "```"]
    return lines


def option_table(options: list[Any]) -> list[str]:
    """The options of a command, a row each."""
    rows = [f"| {option_names(entry)} | {default(entry)} | {cell(entry.help)} |" for entry in options]
    return ["| option | default | meaning |", "|---|---|---|", *rows]


def argument_usage(argument: Any) -> str:
    """An argument as the usage line has it."""
    return argument.metavar if argument.required else f"[{argument.metavar}]"


def option_names(option: Any) -> str:
    """`--to FORM`, or `--sound`, `--no-sound`."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"`{option.opts[0]} {cell(placeholder(option))}`"


def placeholder(option: Any) -> str:
    """What stands for an option's value."""
    return option.metavar or {int: "N", float: "X", Path: "PATH"}.get(option.type_descriptor.annotation, "TEXT")


def default(parameter: Any) -> str:
    """The value of a parameter that is left out."""
    if parameter.required:
        return "required"
    value = parameter.default
    return (
        "" if value is None or value is False or value == "" or getattr(parameter, "is_flag", False) else f"`{value}`"
    )


# Keys of a study


def keys_page() -> str:
    """Every key of a study's file, section by section, from the models that check it."""
    lines = [
        "# Keys of a study", "",
        "A study is one TOML file ([how to write and run one](../guides/studies.md)). A wrong key or value is an error "
        "that names the key and what is allowed.",
    ]  # fmt: skip
    for heading, kind in sections(StudySpec):
        lines += ["", f"## {heading}", "", inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0], ""]
        lines += ["| key | values | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{name}` | {values(field)} | {key_default(field)} | {cell(field.description)} |"
            for name, field in kind.model_fields.items()
            if not is_section(name, field) and not inherited(kind, name)
        ]
        lines += [MEANINGS[kind]] if kind in MEANINGS else []
    return "\n".join(lines) + "\n"


def sections(kind: type[BaseModel], name: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and those in it, each under the heading of its TOML table."""
    yield (name or "Top level"), kind
    for key, field in kind.model_fields.items():
        inner = model_in(field.annotation)
        if inner is not None:
            dotted = f"{name.strip('[]`')}.{key}" if name else key
            repeated = get_origin(field.annotation) is tuple
            yield from sections(inner, f"`[[{dotted}]]`" if repeated else f"`[{dotted}]`")


def is_section(name: str, field: FieldInfo) -> bool:
    """Whether a key has a section of its own."""
    return model_in(field.annotation) is not None and name != "published"


def inherited(kind: type[BaseModel], name: str) -> bool:
    """Whether a key is that of another section: `[finetune]` has those of `[train]`."""
    parent = kind.__mro__[1]
    return name in parent.model_fields and name not in kind.__annotations__


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `Model`, `Model | None` or `tuple[Model, ...]`."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


def values(field: FieldInfo) -> str:
    """What a key takes: the names to choose from, or a kind with its bounds."""
    text = kind_of(field.annotation)
    bounds = [
        f"{sign} {getattr(part, name):,}" for part in field.metadata for name, sign in BOUNDS.items()
        if getattr(part, name, None) is not None
    ]  # fmt: skip
    return ", ".join([text, *bounds])


def kind_of(annotation: Any) -> str:
    """A type in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin is typing.Annotated:
        return kind_of(parts[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_of(part) for part in parts if part is not type(None))
    if origin is tuple:
        inner = kind_of(parts[0])
        return f"list of {inner}" if parts[-1] is Ellipsis else f"`[{', '.join(['N'] * len(parts))}]`"
    if origin is dict:
        return "table"
    named = {str: "text", int: "integer", float: "number", bool: "`true`, `false`", Path: "path"}
    return named.get(
        annotation,
        "table"
        if model_in(annotation)
        else "any"
        if annotation is Any
        else str(getattr(annotation, "__name__", annotation)),
    )


def key_default(field: FieldInfo) -> str:
    """The default in TOML; none if the key is optional without one."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


# Python


def python_page() -> str:
    """The public functions and classes, and what the functions return."""
    lines = [
        "# Python", "",
        "Everything here is imported when it is first used: `import niwaki` costs next to nothing. All errors are "
        "`niwaki.NiwakiError`. An argument has the name of the command's option.", "",
    ]  # fmt: skip
    functions = [name for name in niwaki.__all__ if inspect.isfunction(getattr(niwaki, name))]
    classes = [getattr(niwaki, name) for name in niwaki.__all__ if inspect.isclass(getattr(niwaki, name))]
    returned = list(dict.fromkeys(kind for name in functions for kind in returned_by(getattr(niwaki, name))))
    lines += ["## Functions", "", "```{eval-rst}"]
    for name in functions:
        lines += [f".. autofunction:: niwaki.{name}"]
    lines += ["```", "", "## Classes", "", "```{eval-rst}"]
    lines += [f".. autoclass:: niwaki.{kind.__name__}\n   :members:" for kind in classes]
    lines += ["```", "", "## What functions return", "", "```{eval-rst}"]
    lines += [
        f".. autoclass:: {kind.__module__}.{kind.__name__}\n   :members:" for kind in returned if kind not in classes
    ]
    lines += ["```", "", "## Callbacks", "", "[How to use them](../guides/callbacks.md).", "", "```{eval-rst}"]
    lines += [f".. autoclass:: niwaki.callbacks.{name}\n   :members:" for name in niwaki.callbacks.__all__]
    return "\n".join([*lines, "```"]) + "\n"


def returned_by(function: Any) -> list[type]:
    """The classes of niwaki in what a function returns."""
    function = inspect.unwrap(function)
    hidden = {name: value for name, value in hidden_imports(function).items() if name not in function.__globals__}
    annotation = inspect.signature(function).return_annotation
    evaluated = eval(annotation, {**function.__globals__, **hidden}) if isinstance(annotation, str) else annotation
    return [
        kind for kind in (evaluated, *get_args(evaluated)) if str(getattr(kind, "__module__", "")).startswith("niwaki.")
    ]


def hidden_imports(function: Any) -> dict[str, Any]:
    """What a function's module imports for type checkers only."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(function)))
    found = {}
    for block in (node for node in tree.body if isinstance(node, ast.If)):
        for line in (node for node in block.body if isinstance(node, ast.ImportFrom) and node.module):
            module = importlib.import_module(line.module)
            found |= {name.name: getattr(module, name.name) for name in line.names}
    return found


# Words


def cell(text: str | None) -> str:
    """Text as a cell of a table."""
    return (text or "").replace("|", "\\|").replace("\n", " ")


def title_of(page: str) -> str:
    """The first heading of a page."""
    path = HERE.parent / page
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") if path.exists() else page


if __name__ == "__main__":
    main()
