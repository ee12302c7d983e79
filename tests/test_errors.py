"""The messages for errors that libraries raise."""

from niwaki.errors import first_line, kind_and_line


def test_an_error_of_several_lines() -> None:
    error = ValueError("\n  one \ntwo")
    assert (first_line(error), kind_and_line(error)) == ("one", "ValueError: one")
    assert first_line("one\ntwo") == "one"


def test_an_error_without_words_is_told_by_its_kind() -> None:
    assert (first_line(KeyError()), kind_and_line(KeyError())) == ("KeyError", "KeyError")
