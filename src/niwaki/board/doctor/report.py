"""The checks and their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from niwaki.board.targets import BundleTarget
from niwaki.device.text import counted
from niwaki.tabular import Column, Tabular

_COLUMNS: tuple[Column, ...] = (("check", "left"), ("", "left"), ("what was found", "left"))
_VERDICTS = {True: "ok", False: "FAILED", None: "not checked"}


@dataclass(frozen=True)
class Check:
    """One check and its result."""

    name: str
    ok: bool | None
    """None: not checked, for the stated reason."""
    found: str

    @property
    def verdict(self) -> str:
        """The result in words."""
        return _VERDICTS[self.ok]


@dataclass(frozen=True)
class DoctorReport:
    """All checks of a bundle for one board."""

    subject: str
    target: BundleTarget
    checks: tuple[Check, ...]

    def __repr__(self) -> str:
        failed = sum(check.ok is False for check in self.checks)
        return f"<DoctorReport {self.subject} on {self.target.title}: {failed} of {len(self.checks)} checks failed>"

    @property
    def ok(self) -> bool:
        """Whether none failed."""
        return all(check.ok is not False for check in self.checks)

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """The checks, with the verdict below."""
        rows = tuple((check.name, check.verdict, check.found) for check in self.checks)
        return Tabular(_COLUMNS, rows, f"{self.subject} on {self.target.title}", (self.summary,))

    @property
    def summary(self) -> str:
        """The result in a sentence."""
        failed = sum(check.ok is False for check in self.checks)
        if failed:
            return f"{counted(failed, 'check')} failed."
        return "All checks that could run passed. Confirm on the board."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `ok` of a check is null if it was not made."""
        return {
            "ok": self.ok,
            "subject": self.subject,
            "target": self.target.name,
            "checks": [{"name": check.name, "ok": check.ok, "found": check.found} for check in self.checks],
        }
