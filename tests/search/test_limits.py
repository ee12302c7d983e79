"""What a user writes as a budget is read, or refused in one line that says how to write it."""

from __future__ import annotations

import pytest

from niwaki.errors import SpecError
from niwaki.search.limits import parse_fit


def test_limits_have_the_units_of_their_quantity() -> None:
    limits = parse_fit("constants<=16KB, ram <= 2kb,macs<=80k, instructions<=1.5M, accuracy>=90%, stack<=400", drop=1)
    assert [(limit.quantity, limit.limit) for limit in limits.budgets] == [
        ("constants", 16384), ("ram", 2048), ("macs", 80_000), ("instructions", 1_500_000), ("accuracy", 90),
        ("stack", 400), ("accuracy_drop", 1),
    ]  # fmt: skip
    assert (
        limits.text
        == "constants<=16KB, ram<=2kb, macs<=80k, instructions<=1.5M, accuracy>=90%, stack<=400, accuracy_drop<=1"
    )
    assert limits.needs_target


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no limit is given"),
        ("flesh<=16KB", "unknown quantity 'flesh': did you mean 'flash'? known are constants, flash, ram"),
        ("flash<=16KiB", "flash has no unit 'KiB': did you mean 'kb'? use B, KB, MB or no unit"),
        ("macs<=16KB", "macs has no unit 'KB': did you mean 'k'? use k, m or no unit"),
        ("ram>=2KB", "ram takes <=: ram<=2KB"),
        ("accuracy<=90", "accuracy takes >=: accuracy>=90"),
        ("accuracy>=900", "in percent"),
        ("ram", "expected a quantity, <= or >=, and a number, as in constants<=16KB"),
        ("ram<=1KB, ram<=2KB", "ram has two limits"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_fit(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_figure_breaks_its_limit() -> None:
    limits = parse_fit("ram<=2KB, accuracy>=90")
    assert [limit.quantity for limit in limits.broken({"ram": 2048.0, "accuracy": None})] == ["accuracy"]
    assert limits.broken({"ram": 2048.0}, ["ram"]) == ()
