"""`niwaki inspect`."""

from __future__ import annotations

from pathlib import Path

from niwaki.cli.deploy import allow
from niwaki.cli.output import output, print_json, print_tabular


def inspect(file: Path, *, as_json: bool, trust: bool) -> None:
    """Print the content of a model file or an ONNX file."""
    from niwaki.deploy.facts import facts_of

    allow(trust)
    facts = facts_of(file, trust=trust)
    if as_json:
        print_json(facts.to_dict())
    else:
        print_tabular(output(), facts.table())
