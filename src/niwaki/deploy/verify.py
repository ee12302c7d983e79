"""Run the same images through every form of a model, and determine whether all of them agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.cause import STEPS
from niwaki.deploy.compare_forms import FormReport, Judge, Progress, far_from_float, has_price, losses
from niwaki.deploy.export import check_possible, write_forms
from niwaki.deploy.exported import Export, open_export
from niwaki.deploy.folder import export_within
from niwaki.deploy.formats import CHOICES, KINDS, REFERENCE, C, Form
from niwaki.deploy.forms import ExportOptions, Material
from niwaki.deploy.origin import Origin, described, measured_on, open_origin
from niwaki.deploy.pictures import Pictures, find_pictures
from niwaki.deploy.runners import Subject, subjects_of
from niwaki.deploy.sample import choose_sample
from niwaki.deploy.specification import specification
from niwaki.errors import DataError, ModelError, Setting, Wording
from niwaki.folders import temporary
from niwaki.notify import Notify, silent
from niwaki.tabular import Column, Tabular
from niwaki.training.settings import QuantizeSettings

_COLUMNS: tuple[Column, ...] = (
    ("form", "left"), ("how", "left"), ("images", "right"), ("verdict", "left"), ("compared with", "left"),
    ("same class", "right"), ("largest difference", "right"), ("accuracy % (95 % interval)", "right"),
)  # fmt: skip


@dataclass(frozen=True)
class VerifyReport:
    """The results of all forms for the same images."""

    ok: bool
    of: str
    """The images in words."""
    forms: tuple[FormReport, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<VerifyReport {'ok' if self.ok else 'NOT OK'}: {len(self.forms)} forms, {self.of}>"

    @property
    def disagreements(self) -> tuple[str, ...]:
        """A line for each form that does not agree, or cannot be compared because of a fault of its own."""
        wrong = (form for form in self.forms if form.ok is False)
        return tuple(Wording(f"{form.form} ({form.how}): ", form.reason) for form in wrong)

    @property
    def not_compared(self) -> tuple[str, ...]:
        """The forms that did not run because of a fault of their own, not of this machine."""
        return tuple(_named(form) for form in self.forms if form.ok is False and not form.images)

    @property
    def not_run(self) -> tuple[str, ...]:
        """The forms that did not run."""
        return tuple(_named(form) for form in self.forms if not form.images)

    @property
    def not_held(self) -> tuple[str, ...]:
        """The forms that ran, but have no counterpart to be compared with."""
        bases = {form.agreement.against for form in self.forms if form.agreement and form.ok is not None}
        prices = {form.form for form in self.forms if has_price(form.form) and form.agreement}
        known = bases | prices | set(self.reported)
        return tuple(_named(form) for form in self.forms if form.images and form.ok is None and form.form not in known)

    @property
    def reported(self) -> tuple[str, ...]:
        """The forms whose distance from the reference is reported, but not judged."""
        beside = (form for form in self.forms if form.agreement and form.agreement.against == REFERENCE)
        return tuple(form.form for form in beside if form.ok is None)

    @property
    def far(self) -> tuple[str, ...]:
        """For each int8 form that is hardly the float network any more, how often it differs: a cost, not a failure."""
        return tuple(far_from_float(self.forms))

    @property
    def summary(self) -> str:
        """Whether all forms agree, in a sentence that makes no claim about forms that were not compared."""
        if any(form.ok is False and form.images for form in self.forms):
            return "The forms disagree."
        compared = any(form.ok for form in self.forms)
        if compared and not (self.not_run or self.not_held or self.far):
            return "All forms that are judged agree." if self.reported else "All forms agree."
        agree = "The forms that were compared agree" if compared else "There are no two forms that must agree"
        told = ["; ".join((agree, *self.far))]
        told += [f"Not compared: {'; '.join(self.not_compared)}"] if self.not_compared else []
        not_run = [named for named in self.not_run if named not in self.not_compared]
        told += [f"Not run: {'; '.join(not_run)}"] if compared and not_run else []
        told += [f"No counterpart: {'; '.join(self.not_held)}"] if compared and self.not_held else []
        return " ".join(f"{sentence}." for sentence in told)

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """The results of every form, with notes below."""
        not_run = (Wording(f"  {form.form}, {form.how}: not run: ", form.reason) for form in self.forms if _left(form))
        notes = (*not_run, *self.notes, self.summary)
        return Tabular(_COLUMNS, tuple(form.cells for form in self.forms), self.of, notes)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "ok": self.ok,
            "images": self.of,
            "forms": [form.to_dict() for form in self.forms],
            "notes": list(self.notes),
            "summary": self.summary,
            "not_run": list(self.not_run),
            "not_held": list(self.not_held),
            "not_compared": list(self.not_compared),
            "far": list(self.far),
        }


@dataclass(frozen=True)
class VerifyOptions:
    """How forms are tried."""

    images: int | None = None
    """Number of images; None: as many as take a few seconds."""
    steps: int = STEPS
    """The number of int8 steps by which a score of ONNX Runtime's int8 may differ from the reference."""
    trust: bool = False
    """Whether to run code that is not niwaki's: factories, and C in the folder."""
    preprocessing: Preprocessing | None = None
    """How pixels become the input of an ONNX that does not say so."""
    labels: tuple[str, ...] = ()
    """The names of its classes."""

    def check(self) -> None:
        """Raise DataError for invalid numbers."""
        if self.images is not None and self.images < 1:
            raise DataError(f"{self.images} images: give at least 1")
        if self.steps < 0:
            raise DataError(f"{self.steps} int8 steps: give 0 or more")


def verify_file(
    path: Path,
    *,
    data: str | None = None,
    options: VerifyOptions | None = None,
    notify: Notify = silent,
    progress: Progress = silent,
) -> VerifyReport:
    """`verify_folder` of an export's folder or a study's `chosen`; for another file, it first exports all forms.

    If it is unknown which images a model was trained on, no int8 can be made from it: a note says so.
    """
    if path.is_dir():
        if options is not None and (options.preprocessing is not None or options.labels):
            given = Setting("labels") if options.preprocessing is None else Setting("preprocessing")
            raise ModelError(f"{path}: a folder states that itself: export the file again with ", given)
        return verify_folder(export_within(path), data=data, options=options, notify=notify, progress=progress)
    options = options or VerifyOptions()
    options.check()
    origin = described(open_origin(path), options.preprocessing, options.labels)
    pictures = find_pictures(origin.needs, data, notify, any_classes=True)
    if data is not None:
        origin = measured_on(origin, pictures, QuantizeSettings().images)
    with temporary("verify") as name:
        folder = Path(name) / "export"
        notes = _export(origin, folder, pictures, options.trust, notify)
        exported = open_export(folder)
        if pictures.data is not None:
            pictures = find_pictures(exported.needs, pictures.data, notify)
        beside = origin.kind == "int8" and path.suffix.lower() == ".onnx"
        added = [specification(origin, exported)] if beside else []
        report = _verified(exported, pictures, options, notify, progress, added)
    return replace(report, notes=(*notes, *report.notes))


def verify_folder(
    folder: Path,
    *,
    data: Dataset | str | None = None,
    options: VerifyOptions | None = None,
    notify: Notify = silent,
    progress: Progress = silent,
    more: Callable[[Export], Subject] | None = None,
) -> VerifyReport:
    """Run the same images through every form in an export's folder, and through what `more` makes of it.

    The images are the test split of `data`, or of the dataset that the export names, or random if none is known: as
    many as requested, or as many as take a few seconds. The C (compiled for this machine, plain, and for emulated
    processors) must give the bits of the integer reference; ONNX Runtime's int8 the same class on 99.5 % of the images
    and scores within the given number of int8 steps; its float the class of torch on 99.9 % (exceptions rounded up) and
    the same scores up to a thousandth of the largest. A form that cannot run here is no failure; its reason is given.
    ONNX Runtime's int8 runs in a session that is exact on every processor; a note says if its default session is not.

    Raises ModelError or DataError if the files, or the requested images, cannot be used.
    """
    options = options or VerifyOptions()
    options.check()
    exported = open_export(folder)
    added = [more(exported)] if more else []
    return _verified(exported, find_pictures(exported.needs, data, notify), options, notify, progress, added)


def _verified(
    exported: Export, pictures: Pictures, options: VerifyOptions, notify: Notify, progress: Progress,
    added: Sequence[Subject] = (),
) -> VerifyReport:  # fmt: skip
    sample = choose_sample(exported, pictures, options.images)
    judge = Judge(exported, sample, steps=options.steps)
    forms: list[FormReport] = []
    warned: list[str] = []
    for subject in (*subjects_of(exported, trust=options.trust), *added):
        left_out = (": not run: ", subject.reason) if subject.reason else ()
        notify(Wording(f"{subject.form}, {subject.how}", *left_out))
        forms.append(judge.take(subject, progress))
        warned += judge.warnings(subject)
    ok = all(form.ok is not False for form in forms)
    return VerifyReport(ok, sample.what, tuple(forms), (*sample.notes, *warned, *losses(forms, judge.causes)))


def _left(form: FormReport) -> bool:
    """Whether a form was left out for a reason that is not a fault."""
    return form.ok is None and bool(form.reason)


def _named(form: FormReport) -> str:
    return f"{form.form} ({form.how})"


def _export(origin: Origin, folder: Path, pictures: Pictures, trust: bool, notify: Notify) -> tuple[str, ...]:
    """Write all forms that can be made from a file; returns those that cannot."""
    uncalibrated = tuple(form for form in CHOICES if not KINDS[form].calibrated)
    forms: tuple[Form, ...] = (*uncalibrated, C)
    notes: tuple[str, ...] = ()
    if origin.kind == "int8":
        forms = (C,)
    elif pictures.data is None:
        forms = uncalibrated
        why = "no int8 and no C: niwaki does not know which images the model was trained on: name them with "
        notes = (Wording(why, Setting("data")),)
    options = ExportOptions(trust=trust)
    check_possible(origin, options)
    report = write_forms(Material(origin, pictures), forms, folder, options=options, optional=forms[1:], notify=notify)
    return (*notes, *report.notes)
