from __future__ import annotations

import functools
import hashlib
import linecache
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import networks
from niwaki.errors import FactoryError, ModelError
from niwaki.models.factory import build, build_seeded, check_trust, source_hash


@pytest.mark.parametrize(
    ("factory", "args", "message"),
    [
        ("resnet", {}, "expected one of lenet5, separable, or package.module:callable"),
        ("networks:", {}, "expected one of lenet5"),
        ("no_such_package.net:Net", {}, "there is no module 'no_such_package': check the spelling"),
        ("networks:Nothing", {}, "networks has no 'Nothing'"),
        ("networks:NOT_CALLABLE", {}, "NOT_CALLABLE is a int, which cannot be called"),
        ("networks:ResidualNet", {"depth": 3}, "does not take {'depth': 3}: TypeError"),
        ("networks:explode", {}, "failed: RuntimeError: no network of width 8 today"),
        ("networks:not_a_module", {}, "returned a str, expected a torch.nn.Module"),
        ("lenet5", {"widths": 3}, "lenet5"),
    ],
)
def test_what_cannot_be_built_is_named(factory: str, args: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(factory, args, trust=True)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import not_installed.part", "there is no module 'not_installed', which needy imports: install it"),
        ("raise ModuleNotFoundError('bring your own')", "importing needy failed: ModuleNotFoundError: bring your own"),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "importing needy failed: RuntimeError: operator torchvision::nms does not exist: this torchvision was "
            "built for another torch: install the one that belongs to torch 2.*, both for the CPU or both for the "
            "same CUDA",
        ),
    ],
)
def test_a_module_that_a_factory_needs(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy.py").write_text(f"{code}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(FactoryError, match=f"^factory 'needy:Net': {message}$"):
        build("needy:Net", {}, trust=True)


def test_a_foreign_factory_is_imported_only_when_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match=r"'evil:Net' is not niwaki's.*`trust=True`"):
        build("evil:Net", {})
    assert not (tmp_path / "ran").exists()
    assert "evil" not in sys.modules
    check_trust("lenet5", trust=False)


def test_a_misspelt_name_is_no_matter_of_trust() -> None:
    for trust in (False, True):
        with pytest.raises(FactoryError, match=r"^factory 'lenet6': did you mean 'lenet5'\? expected one of lenet5"):
            check_trust("lenet6", trust)


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


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "as Python may keep what was executed"])
def test_code_without_a_file_has_no_hash(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linecache, "cache", {"<string>": (15, None, ["def make(): pass"], "<string>")} if known else {})
    namespace: dict = {}
    exec("def make(): pass", namespace)
    networks.from_nowhere = namespace["make"]  # type: ignore[attr-defined]
    networks.partial = functools.partial(networks.ResidualNet, 4)  # type: ignore[attr-defined]
    for factory in ("networks:from_nowhere", "networks:partial"):
        with pytest.raises(ModelError, match="source file cannot be found"):
            source_hash(factory)


TREE = {
    "blocks/__init__.py": "",
    "blocks/body.py": "from .parts import Part\nfrom . import sizes\n\nclass Body(Part): pass\n",
    "blocks/parts.py": "import torch, importlib as i\ni.import_module('.here', package=__package__)\n"
    "class Part(torch.nn.Module): pass\n",
    "blocks/sizes/__init__.py": "WIDTH = 8\nimport importlib\nimportlib.import_module('.inner', __name__)\n",
    "blocks/sizes/inner.py": "x = 1\n",
    "blocks/relative.py": "x = 1\n",
    "blocks/here.py": "x = 1\n",
    "late.py": "x = 1\n",
    "by_name.py": "x = 1\n",
    "unrelated.py": "import mynet_of_files\n",
    "alone.py": "import torch\n\nclass Net(torch.nn.Module): pass\n",
    "mynet_of_files.py": """
import importlib
from blocks.body import Body

class Net(Body):
    def forward(self, x):
        import late
        importlib.import_module(".relative", "blocks"), importlib.import_module("..beyond", "blocks")
        return importlib.import_module("by_name").x
""",
    "front.py": "from mynet_of_files import Net\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("mynet_of_files.py", True),
        ("blocks/body.py", True),
        ("blocks/parts.py", True),  # imported by what is imported
        ("blocks/sizes/__init__.py", True),
        ("blocks/__init__.py", True),  # empty before
        ("late.py", True),  # inside a function
        ("by_name.py", True),
        ("blocks/relative.py", True),
        ("blocks/here.py", True),
        ("blocks/sizes/inner.py", True),
        ("unrelated.py", False),
        ("front.py", False),
        ("alone.py", False),
    ],
)
def test_source_hash_is_of_all_own_files_that_the_code_imports(tree: Path, file: str, counts: bool) -> None:
    factory = "mynet_of_files:Net"
    before = source_hash(factory)
    assert source_hash(factory) == before
    with (tree / file).open("a") as opened:
        opened.write("# edited\n")
    assert (source_hash(factory) != before) is counts


def test_a_file_that_only_names_the_factory_counts_too(tree: Path) -> None:
    before = source_hash("front:Net")
    (tree / "front.py").write_text("from mynet_of_files import Net\nNet.width = 3\n")
    assert source_hash("front:Net") != before


def test_one_file_alone_is_hashed_as_it_always_was(tree: Path) -> None:
    """Keys of studies that were stored before other files counted."""
    assert source_hash("alone:Net") == hashlib.sha256((tree / "alone.py").read_bytes()).hexdigest()


def test_where_the_files_are_is_no_part_of_it(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch
) -> None:
    before = source_hash("mynet_of_files:Net")
    moved = tmp_path_factory.mktemp("moved")
    for name in list(sys.modules):
        if name.partition(".")[0] in ("blocks", "mynet_of_files"):
            del sys.modules[name]
    monkeypatch.setattr(sys, "path", [str(moved), *(path for path in sys.path if path != str(tree))])
    shutil.copytree(tree, moved, dirs_exist_ok=True)
    assert source_hash("mynet_of_files:Net") == before
    assert str(moved) in str(sys.modules["mynet_of_files"].__file__)


def test_a_file_that_is_gone_is_named(tree: Path) -> None:
    source_hash("mynet_of_files:Net")
    (tree / "late.py").unlink()
    assert source_hash("mynet_of_files:Net")  # nothing finds it any more: it can only fail when it is called
    (tree / "blocks" / "parts.py").unlink()
    with pytest.raises(FactoryError, match=r"parts\.py: cannot be read: No such file"):
        source_hash("mynet_of_files:Net")
