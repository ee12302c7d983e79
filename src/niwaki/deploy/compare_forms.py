"""Run the forms of a model one after the other on the same images, and compare each with one that ran before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from niwaki.deploy.agreement import Agreement, Right, allowed, compare, count_right
from niwaki.deploy.cause import STEPS, furthest, likely_cause, rounding_alone, saturation, way_out, worst_images
from niwaki.deploy.drift import dynamic_is_wrong
from niwaki.deploy.exported import Export
from niwaki.deploy.formats import FILE, FORMS, INT8, KINDS, MODEL, REFERENCE, TFLITE, TORCH, C, FormKind
from niwaki.deploy.runners import Subject
from niwaki.deploy.sample import Sample
from niwaki.deploy.specification import explained
from niwaki.errors import NiwakiError
from niwaki.measure.accuracy import Predict
from niwaki.training.loss import cause_of_loss
from niwaki.training.quantize import POOR_AGREEMENT

BATCH = 200
FLOAT = (TORCH, *(form.name for form in FORMS if form.is_float and form.name != MODEL))
FAR = 0.2  # of the images: a note says so if int8 differs from float for more of them
_WRONG = "ONNX Runtime's default session gives wrong scores on this processor"
_ONCE = "ONNX Runtime rounds once, TensorFlow Lite twice, as the reference and the C do"
SHOWN = 12  # scores of an image in a message

Progress = Callable[[str, int, int], None]
"""Called while a form runs: its name, how many images are done, and how many there are."""


@dataclass(frozen=True)
class FormReport:
    """The result of one form."""

    form: str
    """torch, reference, or a form that can be exported."""
    how: str
    """The runtime, or the compiler and what it compiled for."""
    ok: bool | None
    """Whether it agrees as it must; None: there is no requirement, or it was not run."""
    images: int = 0
    agreement: Agreement | None = None
    right: Right | None = None
    reason: str = ""

    def __repr__(self) -> str:
        verdict = {True: "agrees", False: "DISAGREES", None: "not judged"}[self.ok]
        return f"<FormReport {self.form} ({self.how}): {verdict if self.images else 'not run'}, {self.images:,} images>"

    """Why it was not run, or how it disagrees."""

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row in a table: form, how, images, verdict, compared with, same class, difference, accuracy."""
        if not self.images:
            return self.form, self.how, "", "not run", "", "", "", ""
        verdict = {True: "agrees", False: "DISAGREES", None: ""}[self.ok]
        against = same = difference = accuracy = ""
        if self.agreement:
            found = self.agreement
            against, same = found.against, percent(found.same_class, self.images)
            if found.equal is not None:
                against += ", to the bit" if found.equal else ", not to the bit"
            if found.difference is not None:
                steps = f"{found.difference:.0f} {found.unit}{'' if found.difference == 1 else 's'}"
                difference = steps if found.unit == "int8 step" else f"{found.difference:.3g} in a {found.unit}"
        if self.right:
            low, high = self.right.interval
            accuracy = f"{self.right.percent:.2f} ({low:.2f} to {high:.2f})"
        return self.form, self.how, f"{self.images:,}", verdict, against, same, difference, accuracy

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "form": self.form,
            "how": self.how,
            "ok": self.ok,
            "images": self.images,
            "agreement": self.agreement.to_dict() if self.agreement else None,
            "accuracy": self.right.to_dict() if self.right else None,
            "reason": self.reason or None,
        }


@dataclass
class Judge:
    """Keeps the scores of the forms that others are compared with."""

    export: Export
    sample: Sample
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    steps: int = STEPS
    """The number of int8 steps by which a score of ONNX Runtime may differ from the reference."""
    causes: dict[str, str] = field(default_factory=dict)
    """Why a form deviates more from float than int8 usually does."""
    ties: dict[str, str] = field(default_factory=dict)
    """What in a form differs only because of ties, or of roundings that add up."""

    def take(self, subject: Subject, progress: Progress) -> FormReport:
        """Run a form and judge it."""
        report = FormReport(subject.form, subject.how, False if subject.failed else None, reason=subject.reason)
        if subject.run is None:
            return report
        images = self.sample.images[: subject.images]
        report = replace(report, images=len(images))
        batch = len(images) if subject.at_once else BATCH
        try:
            scores = _run(subject.run, images, batch, partial(progress, subject.form))
        except NiwakiError as error:  # C that does not compile, or whose program fails
            return replace(report, ok=False, reason=str(error))
        broken = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if broken.size:
            first = self.sample.name(int(broken[0]))
            return replace(report, ok=False, reason=f"{broken.size} images have scores that are not finite; {first}")
        self.scores.setdefault(subject.form, scores)
        if self.sample.labels is not None:
            report = replace(report, right=count_right(scores, self.sample.labels[: len(images)]))
        return self._judged(subject, report, scores)

    def _judged(self, subject: Subject, report: FormReport, scores: np.ndarray) -> FormReport:
        candidates = (REFERENCE, *FLOAT) if kind_of(report.form).calibrated else FLOAT
        against = next((form for form in candidates if form in self.scores and form != report.form), None)
        if against is None:
            return report
        ours, theirs, unit = self._alike(subject, against, scores, self.scores[against][: len(scores)])
        found = compare(ours, theirs, against, unit=unit)
        report = replace(report, agreement=found)
        if report.form in (C, TFLITE):
            return replace(report, ok=found.equal, reason=self._first(found, ours, theirs))
        judge, percent = kind_of(report.form).same_class or ("", 0.0)
        limit, apart = allowed(len(ours), percent), len(ours) - found.same_class
        if subject.even:
            beside = self._beside(report, ours, theirs)
            explained = beside.ok or (apart <= limit and self._adds_up(subject, ours, theirs))
            return replace(report, ok=True) if explained else beside
        if report.form == INT8 and self._rounds_twice:  # ONNX cannot say so: the difference is reported, not judged
            return report
        if judge != against:  # the cost of int8 is reported, not judged
            if report.form == REFERENCE and unit and 100 * found.same_class < POOR_AGREEMENT * len(ours):
                self.causes[REFERENCE] = cause_of_loss(theirs, ours, self._step())
            return report
        if apart > limit:
            count = f"another class than {against} for {apart} of {len(ours)} images, at most {limit} allowed"
            reason = f"{count}; {self._first(found, ours, theirs)}"
        else:
            reason = self._too_far(report.form, found, ours, theirs)
        if reason and report.form == INT8:
            same = apart <= limit and found.unit == "int8 step"
            explained = same and (self._beside(report, ours, theirs).ok or self._adds_up(subject, ours, theirs))
            reason = "" if explained else reason + self._cause(subject, ours, theirs)
        return replace(report, ok=not reason, reason=reason)

    def _beside(self, report: FormReport, ours: np.ndarray, theirs: np.ndarray) -> FormReport:
        """Judge scores in int8 steps of a runtime that rounds halves to even: ties are no faults, and said."""
        graph, images = self.export.graph, self.sample.images
        assert graph is not None  # a reference ran
        found = explained(graph, images, self.steps, ours, theirs)
        if found.fault is None:
            self.ties[report.form] = found.said
            return replace(report, ok=True)
        at = self._at(found.fault, REFERENCE, ours, theirs)
        return replace(report, ok=False, reason=f"its scores differ by more than rounding and ties explain; {at}")

    def _adds_up(self, subject: Subject, ours: np.ndarray, theirs: np.ndarray) -> bool:
        """Whether scores are far off although every layer is right: said, but no fault of the file."""
        file = subject.int8 or subject.alone
        if file is None or not file.has_steps:
            return False
        worst = worst_images(ours, theirs)
        told = rounding_alone(file, self.sample.images[worst], theirs[worst], furthest(ours, theirs))
        if told:
            self.ties[subject.form] = told
        return bool(told)

    def _too_far(self, form: str, found: Agreement, ours: np.ndarray, theirs: np.ndarray) -> str:
        """Where a score differs by more than rounding explains; "" if none does."""
        if form == INT8:
            if found.unit != "int8 step" or found.difference is None or found.difference <= self.steps:
                return ""
            first = int(np.flatnonzero(np.abs(ours - theirs).max(axis=1) > self.steps)[0])
            gap = f"a score differs from {found.against} by {found.difference:.0f} int8 steps"
            return f"{gap}, but rounding explains at most {self.steps}; {self._at(first, found.against, ours, theirs)}"
        largest = kind_of(form).tolerance * max(1.0, float(np.abs(theirs).max(initial=0.0)))
        if found.difference is None or found.difference <= largest:
            return ""
        return (
            f"a score differs from {found.against} by {found.difference:.3g}, but rounding explains at most "
            f"{largest:.3g}"
        )

    def warnings(self, subject: Subject) -> Iterator[str]:
        """What you have to know to deploy a form that agrees: whether ONNX Runtime's default session is wrong."""
        if ties := self.ties.pop(subject.form, ""):
            yield f"{subject.form}: {ties}"
        images = self.sample.images[:BATCH]
        found = self.scores.get(subject.form)
        if subject.form == INT8 and self._rounds_twice and found is not None:
            yield f"{INT8}: not judged: {_ONCE}"
            return
        if subject.dynamic is not None and found is not None:
            data, table = subject.dynamic
            if wrong := dynamic_is_wrong(data, table, images, found[: len(images)]):
                yield f"{subject.form}: {_WRONG}: {wrong}"
                yield f"{subject.form}: {way_out(data)}"
        expected = self.scores.get(REFERENCE)
        if subject.int8 is None or not subject.int8.has_steps or expected is None:
            return
        if wrong := saturation(subject.int8, images, expected[: len(images)], self.steps):
            yield f"{subject.form}: {_WRONG}: {wrong}"
            yield f"{subject.form}: {way_out(subject.int8.data)}"

    @property
    def _rounds_twice(self) -> bool:
        return self.export.graph is not None and self.export.graph.rounds_twice

    def _step(self) -> float | None:
        graph = self.export.graph
        return graph.tensors[graph.output].scale if graph else None

    def _cause(self, subject: Subject, ours: np.ndarray, theirs: np.ndarray) -> str:
        """The likely cause, from the images that deviate most."""
        if subject.int8 is None or not subject.int8.has_steps:
            return ""
        worst = worst_images(ours, theirs)
        images = self.sample.images[worst]
        return f"; likely cause: {likely_cause(subject.int8, images, theirs[worst], self.steps)}"

    def _alike(
        self, subject: Subject, against: str, scores: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Both in one unit, if there is one: the scores' own, or int8 steps."""
        graph, form = self.export.graph, subject.form
        if graph is None or REFERENCE not in (form, against):
            return scores, other, "score"
        if form in (C, TFLITE) or subject.even:
            return scores, other, "int8 step"
        if form == INT8 and subject.int8 is not None and subject.int8.has_steps:
            theirs = other.reshape(len(other), -1).astype(np.float64)
            return subject.int8.in_steps(scores, other), theirs, "int8 step"
        if graph.dropped:  # a last Softmax: the float form gives probabilities, the reference the input of the softmax
            return scores, other, ""
        end = graph.tensors[graph.output]
        if form == REFERENCE:
            return (scores.astype(np.float64) - end.zero_point) * end.scale, other, "score"
        return np.rint(scores / np.float64(end.scale)) + end.zero_point, other, "int8 step"

    def _first(self, found: Agreement, scores: np.ndarray, other: np.ndarray) -> str:
        """The first wrong image, with both forms' scores; nothing if all are right."""
        if found.first is None:
            return ""
        return self._at(found.first, found.against, scores, other)

    def _at(self, index: int, against: str, scores: np.ndarray, other: np.ndarray) -> str:
        """An image, with both forms' scores."""
        ours, theirs = (_shown(rows[index]) for rows in (scores, other))
        return f"first {self.sample.name(index)}: {ours}, {against} {theirs}"


def kind_of(form: str) -> FormKind:
    """The registered form of that name."""
    return KINDS[{TORCH: MODEL, REFERENCE: C, TFLITE: C, FILE: INT8}.get(form, form)]


def has_price(form: str) -> bool:
    """Whether the report states its cost against float, unjudged: the reference stands for all int8 forms."""
    kind = kind_of(form)
    return form == REFERENCE or not (kind.is_float or kind.calibrated)


def losses(forms: Sequence[FormReport], causes: Mapping[str, str]) -> Iterator[str]:
    """The cost of int8 against float, in a sentence for each kind, with the causes that were found."""
    rights = {form.form: form.right for form in reversed(forms) if form.right}
    for form in forms:
        if not has_price(form.form) or form.agreement is None:
            continue
        name = kind_of(form.form).called
        same = percent(form.agreement.same_class, form.images)
        text = f"{name} and float give the same class for {same} of the images"
        before, after = rights.get(form.agreement.against), form.right
        if before and after:
            gap = after.percent - before.percent
            text += f"; accuracy {before.percent:.2f} % in float, {after.percent:.2f} % in {name} ({gap:+.2f} points)"
        if form.form in causes:
            text += f"; likely cause: {causes[form.form]}"
        yield text


def far_from_float(forms: Sequence[FormReport]) -> Iterator[str]:
    """Each int8 form that gives another class than float for more than FAR of the images."""
    for form in forms:
        found = form.agreement
        if found is None or form.form == C or found.against not in FLOAT or form.form in FLOAT:
            continue
        apart = form.images - found.same_class
        if apart > FAR * form.images:
            share = percent(apart, form.images)
            yield f"{kind_of(form.form).called} gives another class than float for {share} of the images"


def percent(part: int, whole: int) -> str:
    """Percent with two digits; 100.00 only if it is all of them.

    >>> percent(9_999_999, 10_000_000)
    '99.99 %'
    """
    value = 100 * part / whole
    return f"{value if part == whole else min(value, 99.99):.2f} %"


def _run(run: Predict, images: np.ndarray, batch: int, progress: Callable[[int, int], None]) -> np.ndarray:
    """Scores (n, classes) of all images, `batch` at a time."""
    parts = []
    for start in range(0, len(images), batch):
        progress(start, len(images))
        part = run(images[start : start + batch])
        parts.append(part.reshape(len(part), -1))
    progress(len(images), len(images))
    return np.concatenate(parts)


def _shown(scores: np.ndarray) -> str:
    values = " ".join(f"{value:.4g}" for value in scores[:SHOWN])
    return f"[{values}{' …' if scores.size > SHOWN else ''}]"
