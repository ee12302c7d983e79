"""JSON and TOML from outside: whatever is wrong, one line, and soon."""

import ast
import re
import time
from pathlib import Path

import pytest

import niwaki
from niwaki.device.outside import DEPTH_LIMIT
from niwaki.files import TOML_LIMIT, load_json, parse_json, parse_toml

DEEP = 20_000
MANY = "more than 64 levels of brackets within brackets"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("[" * DEEP, MANY),
        ("[" * DEEP + "]" * DEEP, MANY),
        ('{"a":' * DEEP + "1" + "}" * DEEP, MANY),
        ("[" * (DEPTH_LIMIT + 1) + "]" * (DEPTH_LIMIT + 1), MANY),
        ('{"a": 1, "b": {}, "a": 2}', "the key 'a' occurs twice in one object"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        ("1e999", "1e999 is out of range for a number"),
        ("9" * 5000, "99999999999999999999… is out of range for a number"),
        ('"\\ud800"', "half a surrogate pair, which is not a character"),
        ('{"\\udfff": 1}', "half a surrogate pair, which is not a character"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        ("[1,]", "Expecting value: line 1 column 4 (char 3)"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_bad_json(data, why):
    with pytest.raises(ValueError, match=re.escape(why) + "$"):
        parse_json(data)


def test_good_json(tmp_path):
    most = "[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT
    assert str(parse_json(most)) == most
    file = tmp_path / "a.json"
    file.write_bytes('\ufeff{"a": [1, -2.5e3, true, null, "\\ud83c\\udf33", "가방"]}'.encode())
    assert load_json(file) == {"a": [1, -2500.0, True, None, "🌳", "가방"]}
    with pytest.raises(ValueError, match="larger than 10 bytes, which is the limit"):
        load_json(file, 10)
    with pytest.raises(IsADirectoryError):
        load_json(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = " + "[" * DEEP, "brackets nested too deeply"),
        ("a = " + "{a=" * DEEP, "brackets nested too deeply"),
        ("[" + ".".join("a" * DEEP) + "]", "a key of more than 64 parts"),
        (" . ".join(['"a"'] * (TOML_LIMIT // 8)) + " = 1", "a key of more than 64 parts"),
        (f"[{'.'.join('a' * 60)}]\n{'.'.join('b' * 10)} = 1", MANY),
        (b"a = '\xff'", "not UTF-8 at byte 5"),
        ("#" * (TOML_LIMIT + 1), "larger than 1,048,576 bytes, which is the limit"),
        ("a = ", "Invalid value (at end of document)"),
        ("[train]\nepochs = five\r\n", "Invalid value (at line 2, column 10): epochs = five"),
        ("\n" + "é" * 90 + " = 1", "Invalid statement (at line 2, column 1): " + "é" * 60),
    ],
    ids=range(10),
)
def test_bad_toml(text, why):
    begun = time.monotonic()
    with pytest.raises(ValueError, match=re.escape(why) + "$"):
        parse_toml(text)
    assert time.monotonic() - begun < 5


def test_good_toml():
    numbers = [n / 7 for n in range(200)]
    text = f"# {'.' * 100} {'. ' * 100}\n[a.b]\nc = {numbers}\nd = '{'A word. ' * 100}'"
    assert parse_toml(text) == {"a": {"b": {"c": numbers, "d": "A word. " * 100}}}


def test_nothing_else_reads_json_or_toml():
    """Whoever reads a file by another way has no limits."""
    home = Path(niwaki.__file__).parent
    own = {"device/outside.py", "files.py", "reporting/words/__init__.py"}  # the last reads a file of the package
    found = {
        path.relative_to(home).as_posix()
        for path in home.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _reads(ast.unparse(node))
    }
    assert found == own


def _reads(call):
    if call.startswith("json.loads(json.dumps(") or "(canonical_json(" in call:  # the same value again
        return False
    return re.match(r"json\.loads?\(|tomllib\.loads?\(|[\w.]+\.(model_)?validate_json\(", call) is not None
