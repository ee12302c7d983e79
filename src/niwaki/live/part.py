"""What this package gives to the page."""

from __future__ import annotations

from dataclasses import dataclass

DATA_ID = "live-data"  # of the element in which `live.js` finds its data


@dataclass(frozen=True)
class LivePart:
    """The pieces of the live part, each where the page needs it. Nothing in them needs escaping any more.

    <style>{part.style}</style> … {part.html}
    <script type="application/json" id="live-data">{part.data}</script> … <script>{part.script}</script>
    """

    html: str
    """A fragment for the body; all ids in it begin with `live-`. Without the other pieces it is `note` alone."""
    script: str
    """One classic script, to stand after the fragment and the data; it needs `'wasm-unsafe-eval'` and no network."""
    style: str
    """Rules for `.live` only; colours come from `--fg --bg --muted --accent --line --panel`."""
    data: str
    """JSON for `<script type="application/json" id="live-data">`: the module, images, names and texts. A browser does
    not run it, so that the policy for scripts does not ask for its hash."""
    note: str
    """Why there is no live part, or less of it than there could be, and the way out; empty if all of it is there."""
    asked_for: bool = True
    """Whether the study is to have a live part, so that a reader or runner who sees none learns why."""
