import re
from pathlib import Path

import pytest

from niwaki.deploy.compare_forms import FLOAT, has_price, kind_of
from niwaki.deploy.formats import CHOICES, FILES, FORMS, INT8, KINDS, MODEL, ONNX, REFERENCE, TIMED, TORCH, C
from niwaki.deploy.forms import CONVERTED
from niwaki.reporting.words import words_in

EXPORTING = Path(__file__).parents[2] / "docs" / "guides" / "exporting.md"


def test_files_have_the_names_that_exports_of_earlier_versions_have() -> None:
    known = {
        "model": "model.safetensors", "onnx": "model.onnx", "onnx-int8": "model-int8.onnx",
        "onnx-dynamic": "model-dynamic.onnx", "c": "c",
    }  # fmt: skip
    assert {form: FILES[form] for form in known} == known


@pytest.mark.parametrize("form", [name for name in KINDS if name != MODEL])
def test_every_form_is_made_said_and_in_the_docs(form) -> None:
    assert form in (ONNX, INT8, C, *CONVERTED)
    assert re.search(rf"^\| `{re.escape(FILES[form])}/?`.* \| `{form}` \|", EXPORTING.read_text(), re.MULTILINE)
    for language in ("en", "ko"):
        assert words_in(language)(f"form.{form}.other")


def test_what_is_compared_with_what() -> None:
    against = {form.same_class[0] for form in FORMS if form.same_class}
    assert against == {TORCH, REFERENCE}
    assert FLOAT[:2] == (TORCH, ONNX)
    assert [form for form in (TORCH, REFERENCE, *CHOICES) if has_price(form)] == [REFERENCE, "onnx-dynamic"]
    assert [kind_of(form).called for form in (REFERENCE, "onnx-dynamic", C)] == ["int8", "dynamic int8", "int8"]


def test_float_is_shown_first() -> None:
    assert TIMED[0] == TORCH
    assert TIMED[-2:] == (INT8, C)
    assert set(TIMED) == {TORCH, *CHOICES}
