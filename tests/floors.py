"""The lowest versions that pyproject.toml allows, as a constraints file on standard output: for `make floors`."""

import re
import sys
import tomllib
from pathlib import Path


def lowest(dependencies: list[str]) -> list[str]:
    """`name==version` of every `name>=version,…`. Raises ValueError for a dependency without a lower end."""
    found = [re.match(r"([A-Za-z0-9-]+)(?:\[[a-z]+\])?>=([0-9.]+)", line) for line in dependencies]
    if without := [line for line, match in zip(dependencies, found, strict=True) if not match]:
        raise ValueError(f"no lower end: {', '.join(without)}")
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(lowest(project["dependencies"])) + "\n")
