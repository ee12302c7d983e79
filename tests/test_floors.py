"""The lowest versions that `make floors` installs."""

import pytest

from floors import lowest


def test_the_lower_end_of_each_range():
    assert lowest(["torch>=2.9,<3", "numpy>=1.26", "x-y[extra]>=1.0.2"]) == ["torch==2.9", "numpy==1.26", "x-y==1.0.2"]


def test_a_dependency_without_a_lower_end():
    with pytest.raises(ValueError, match="no lower end: rich<15, typer"):
        lowest(["torch>=2.9", "rich<15", "typer"])
