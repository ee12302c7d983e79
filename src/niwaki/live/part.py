"""What this package provides for the page."""

from __future__ import annotations

from dataclasses import dataclass

DATA_ID = "live-data"  # id of the element with the data for `live.js`


@dataclass(frozen=True)
class LivePart:
    """The pieces of the live part, each for its place in the page. They need no further escaping.

    <style>{part.style}</style> … {part.html}
    <script type="application/json" id="live-data">{part.data}</script> … <script>{part.script}</script>
    """

    html: str
    """A fragment for the body; all ids in it start with `live-`. Without the other pieces it is `note` alone."""
    script: str
    """One classic script, placed after the fragment and the data; it needs `'wasm-unsafe-eval'` and no network."""
    style: str
    """Rules for `.live` only; colours come from `--fg --bg --muted --accent --line --panel`."""
    data: str
    """JSON for `<script type="application/json" id="live-data">`: the module, images, names and texts. Browsers do
        not run it, so the policy for scripts does not need its hash."""
    note: str
    """Why the live part is missing or incomplete, and what to do; empty if it is complete."""
    asked_for: bool = True
    """Whether the study should have a live part, so that a reader who sees none learns why."""
