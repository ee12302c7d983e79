"""`niwaki inspect`."""

from __future__ import annotations

from pathlib import Path

from niwaki.cli.deploy import Lines, allow
from niwaki.cli.output import output, print_json, print_tabular
from niwaki.errors import SpecError


def inspect(file: Path, *, sensitivity: bool, data: str | None, images: int | None, as_json: bool, trust: bool) -> None:
    """Print the content of a model file or an ONNX file, and on request the sensitivity of its layers."""
    from niwaki.deploy.facts import facts_of

    if not sensitivity and not (data is None and images is None):
        raise SpecError("--data, --images: without --sensitivity no image is read: add it, or leave them out")
    allow(trust)
    facts = facts_of(file, trust=trust)
    measured = None
    if sensitivity:
        from niwaki.deploy.sensitivity import file_sensitivity

        with Lines() as lines:
            measured = file_sensitivity(file, data, images, trust=trust, notify=lines.message)
    if as_json:
        print_json({**facts.to_dict(), **({"sensitivity": measured.to_dict()} if measured else {})})
        return
    print_tabular(output(), facts.table())
    if measured:
        print_tabular(output(), measured.table())
