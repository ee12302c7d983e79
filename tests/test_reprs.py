"""How a notebook or an interpreter shows niwaki's objects: one short line, however much is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from niwaki.board.build import BundleReport
from niwaki.board.doctor.report import Check, DoctorReport
from niwaki.board.targets import find_target
from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.bench import BenchReport, BenchRow
from niwaki.deploy.compare_forms import FormReport
from niwaki.deploy.export import ExportReport
from niwaki.deploy.verify import VerifyReport
from niwaki.measure.accuracy import Accuracy
from niwaki.measure.cost import Cost, LayerCost
from niwaki.models.modelfile import ModelInfo, PruningState
from niwaki.study.plan import Plan
from niwaki.study.records import Record, Results
from niwaki.study.scheduler import StudyResult
from niwaki.training.prune import PruneReport

LABELS = tuple(f"class {number}" for number in range(100))
MANY = {f"layer.{number}": number for number in range(100)}
NOTES = ("a note",) * 50
NANO = find_target("jetson-nano")
LAYER = LayerCost("fc", "Linear", (10,), 84, 840, "float32", 336)
FORM = FormReport("c", "plain C", False, 1234, reason="x" * 200)


def split(count: int) -> Split:
    return Split(np.zeros((count, 3, 32, 32), np.uint8), np.zeros(count, np.int64))


DATA = Dataset("flowers", LABELS, Preprocessing(), "0" * 64, "here", False, split(1200), split(7), split(9), NOTES)
ANSWERS = {"total": 4, "correct": 3, "confusion": [[2, 0], [1, 1]]}
RESULTS = Results(
    validation=ANSWERS, test=ANSWERS, params=61706, macs=416520, macs_tp=None, bytes={"float32": 246824},
    file_bytes=250000, activation_bytes=None, widths=MANY, structure="s", notes=NOTES,
)  # fmt: skip
RECORD = Record(
    key="ab" * 32, kind="train", parent=None, seed=0, position=0, settings=MANY, data="d" * 64, environment=MANY,
    status="done", results=RESULTS,
)  # fmt: skip
SHOWN = {
    "<Split: 1,200 images 3×32×32>": DATA.train,
    "<Dataset flowers: 1,200 + 7 + 9 images 3×32×32, 100 classes>": DATA,
    "<Accuracy 75.00 %: 3 of 4 images>": Accuracy(4, 3, ((2, 0), (1, 1)) * 50),
    "<Accuracy unknown: 0 of 0 images>": Accuracy(0, 0, ((0,),)),
    "<Cost: 84 parameters, 840 MACs, 336 bytes>": Cost(84, 840, None, {"float32": 336}, (LAYER,) * 40),
    "<ModelInfo lenet5: 1×32×32 to 100 classes>": ModelInfo(
        factory="lenet5", input_shape=(1, 32, 32), labels=LABELS, original_widths=MANY
    ),
    "<PruneReport step 2: 4,950 channels removed, 49.5 % of all gone>": PruneReport(
        2, MANY, MANY, NOTES, PruningState(step=2, scopes=MANY), 0.5, 0.495, {}
    ),
    "<ExportReport small: onnx; missing: c>": ExportReport(
        Path("small"), "here", {"onnx": 9}, notes=NOTES, missing={"c": "x" * 200}
    ),
    "<FormReport c (plain C): DISAGREES, 1,234 images>": FORM,
    "<FormReport c (plain C): not run, 0 images>": FormReport("c", "plain C", None),
    "<VerifyReport NOT OK: 12 forms, all 9 test images of flowers>": VerifyReport(
        False, "all 9 test images of flowers", (FORM,) * 12, NOTES
    ),
    "<BenchReport: 0 rows, 0 left out>": BenchReport((), 0.01, True, (), NOTES),
    "<BundleReport nano: for Jetson Nano, 4,950 bytes>": BundleReport(Path("nano"), NANO, MANY, {}, NOTES),
    "<DoctorReport nano on Jetson Nano: 30 of 60 checks failed>": DoctorReport(
        "nano", NANO, (Check("a", True, "x" * 80), Check("b", False, "y")) * 30
    ),
    "<Plan: 0 trials, 0 stages>": Plan(),
    "<Results: validation 75.00 %, 61,706 parameters>": RESULTS,
    "<Record abababababab: train, done: validation 75.00 %>": RECORD,
    "<StudyResult studies/quick: 1 of 0 stages>": StudyResult(Path("studies/quick"), Plan(), {"a": RECORD}),
    "<StudyResult studies/quick: 0 of 0 stages, FAILED>": StudyResult(
        Path("studies/quick"), Plan(), {}, lost={"a": "b"}
    ),
}


EVIL = '<evil> & "more"'
ANSWERED = Accuracy(4, 3, ((2, 0), (1, 1)))
FACTS = Cost(84, 840, None, {"float32": 336}, (replace(LAYER, name=EVIL),), (EVIL,))
REPORT = ExportReport(Path("small"), EVIL, {"onnx": 9}, notes=(EVIL,), missing={"c": EVIL})
FORMS = VerifyReport(False, EVIL, (replace(FORM, reason=EVIL), FormReport(EVIL, "plain C", None, reason=EVIL)), (EVIL,))
ROW = BenchRow(EVIL, "c", "C", 1, 2.0, 3.0, 10, 1, ratio=1.5, noise=True, wrong=EVIL)
TIMED = BenchReport((ROW, replace(ROW, file="b", ratio=None)), 0.01, False, (), (EVIL,))
BUNDLE = BundleReport(Path("nano"), NANO, {EVIL: 9}, {}, (EVIL,))
DOCTOR = DoctorReport(EVIL, NANO, (Check("a", True, EVIL), Check("b", None, "y")))
PRUNED = PruneReport(2, {EVIL: 3}, {EVIL: 1}, (EVIL,), PruningState(step=2, scopes={}), 0.5, None, {EVIL: EVIL})


@pytest.mark.parametrize("line", SHOWN)
def test_an_object_is_shown_in_one_short_line(line: str) -> None:
    assert (repr(SHOWN[line]), str(SHOWN[line])) == (line, line)


WITH_TABLES = (ANSWERED, FACTS, DATA, REPORT, FORMS, TIMED, BUNDLE, DOCTOR, PRUNED)


@pytest.mark.parametrize("shown", WITH_TABLES, ids=lambda shown: type(shown).__name__)
def test_a_notebook_shows_it_as_a_table_with_every_text_escaped(shown) -> None:
    page = shown._repr_html_()
    rows = ElementTree.fromstring(f"<div>{page}</div>").findall(".//tbody/tr")  # well-formed, so nothing is markup
    assert rows
    assert all(len(row) == len(rows[0]) for row in rows)
    assert "<evil>" not in page
