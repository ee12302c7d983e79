from __future__ import annotations

import functools
import hashlib
import sys
from pathlib import Path

import pytest
import torch

import networks
from niwaki.errors import ModelError
from niwaki.models.factory import build, build_seeded, check_trust, source_hash


@pytest.mark.parametrize(
    ("factory", "args", "message"),
    [
        ("resnet", {}, "expected one of lenet5, or package.module:callable"),
        ("networks:", {}, "expected one of lenet5"),
        ("no_such_package.net:Net", {}, "importing no_such_package.net failed: ModuleNotFoundError"),
        ("networks:Nothing", {}, "networks has no 'Nothing'"),
        ("networks:NOT_CALLABLE", {}, "NOT_CALLABLE is a int, not something to call"),
        ("networks:ResidualNet", {"depth": 3}, "does not take {'depth': 3}: TypeError"),
        ("networks:explode", {}, "failed: RuntimeError: no network of width 8 today"),
        ("networks:not_a_module", {}, "returned a str, expected a torch.nn.Module"),
        ("lenet5", {"widths": 3}, "lenet5"),
    ],
)
def test_what_cannot_be_built_is_named(factory: str, args: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(factory, args, trust=True)


def test_a_foreign_factory_is_imported_only_when_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match=r"'evil:Net' is not niwaki's.*--trust"):
        build("evil:Net", {})
    assert not (tmp_path / "ran").exists()
    assert "evil" not in sys.modules
    check_trust("lenet5", trust=False)


def test_seeded_weights_leave_the_generator_alone() -> None:
    torch.manual_seed(9)
    before = torch.get_rng_state()
    one, two = build_seeded("lenet5", {}, 1), build_seeded("lenet5", {}, 1)
    other = build_seeded("lenet5", {}, 2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.conv1.weight, two.conv1.weight)
    assert not torch.equal(one.conv1.weight, other.conv1.weight)


def test_source_hash_is_of_the_defining_file() -> None:
    assert source_hash("networks:ResidualNet") == hashlib.sha256(Path(networks.__file__).read_bytes()).hexdigest()
    assert source_hash("lenet5") == "built-in:lenet5"


def test_code_without_a_file_has_no_hash() -> None:
    namespace: dict = {}
    exec("def make(): pass", namespace)
    networks.from_nowhere = namespace["make"]  # type: ignore[attr-defined]
    networks.partial = functools.partial(networks.ResidualNet, 4)  # type: ignore[attr-defined]
    for factory in ("networks:from_nowhere", "networks:partial"):
        with pytest.raises(ModelError, match="source file cannot be found"):
            source_hash(factory)
