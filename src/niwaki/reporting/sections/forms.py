"""The forms of the chosen model: whether they agree, and how long each takes."""

from __future__ import annotations

from niwaki.reporting.charts.latency import form_name, latency_chart
from niwaki.reporting.document import Block, Figure, Grid, Section, Text
from niwaki.reporting.sections.tables import plain_csv
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.result_files import TIMED_FORMS, Bench, VerifiedForm


def forms_part(view: View, words: Words) -> Section:
    """The content of `verify.json`."""
    heading = words("forms.heading")
    found = view.verification
    if found is None:
        return Section("forms", heading, (Text(words("forms.none"), "warning"),))
    if not found.exists:
        return Section("forms", heading, (Text(words("forms.cannot", reason=found.reason), "warning"),))
    most = max((form.images for form in found.forms), default=0)
    far = "; ".join(found.far)
    agree = words("forms.agree") if found.all_compared else words("forms.agree_compared")
    agree = words("forms.agree_far", far=far) if far else agree
    verdict = (
        Text(words("forms.disagree"), "warning")
        if found.disagree
        else Text(agree, "finding" if found.ok else "warning")
    )
    names = ("form", "how", "images", "accuracy", "interval", "against", "same", "bits", "verdict")
    heads = tuple(words(f"forms.{name}") for name in names)
    rows = tuple(_form_row(form, words) for form in found.forms)
    missing = tuple(
        Text(words("forms.missing", form=form, reason=reason), "warning") for form, reason in found.missing.items()
    )
    notes = tuple(f"{form.form}, {form.how}: {form.reason}" for form in found.forms if form.reason)
    grid = Grid("table-forms", heading, heads, rows, plain_csv(heads, rows), frozenset({0, 1, 5, 7, 8}),
                (*notes, *found.export_notes, *found.notes))  # fmt: skip
    return Section("forms", heading, (Text(words("forms.lead", images=f"{most:,}")), verdict, *missing, grid))


def _form_row(form: VerifiedForm, words: Words) -> tuple[str, ...]:
    if not form.images:
        return (form.form, form.how, "–", "–", "–", "–", "–", "–", words("forms.not_run"))
    right, against = form.accuracy, form.agreement
    verdict = words(f"forms.verdict.{str(form.ok).lower()}")
    bits = "–"
    if against and against.equal is not None:
        bits = words("forms.yes") if against.equal else words("forms.no")
    return (
        form.form, form.how, f"{form.images:,}",
        f"{right.percent:.2f}" if right else "–",
        f"{right.interval[0]:.2f}–{right.interval[1]:.2f}" if right else "–",
        against.against if against else "–", f"{against.same_class:,}" if against else "–", bits, verdict or "–",
    )  # fmt: skip


def latency_section(view: View, words: Words) -> Section:
    """The time for one image in every form and runtime."""
    heading = words("latency.heading")
    bench = view.bench
    if bench is None or not bench.rows:
        return Section("latency", heading, (Text(words("latency.none"), "warning"),))
    blocks: list[Block] = [
        Text(words("latency.lead", processor=bench.made_of.processor or "?"), "lead"),
        Figure(latency_chart(bench.rows, words)),
        _times(bench, words),
    ]
    return Section("latency", heading, tuple(blocks))


def _times(bench: Bench, words: Words) -> Grid:
    placed = sorted(bench.rows, key=lambda row: (row.file != "base", TIMED_FORMS.index(row.form), row.runtime))
    heads = tuple(words(f"latency.{name}") for name in ("form", "of", "median", "p95", "runs"))
    shown = tuple(
        (form_name(row.form, row.runtime, words), words(row.file), f"{row.median_us:,.2f}", f"{row.p95_us:,.2f}",
         f"{row.runs:,}")
        for row in placed
    )  # fmt: skip
    notes = [words("latency.floor", floor=100 * bench.noise_floor)]
    if not bench.pinned:
        notes.append(words("latency.unpinned"))
    return Grid("table-latency", words("latency.heading"), heads, shown, plain_csv(heads, shown), frozenset({0, 1}),
                (*notes, *bench.notes))  # fmt: skip
