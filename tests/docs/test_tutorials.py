"""Tutorials and guides work as written: with little data in short, unchanged in the long form."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.docs.reading import Block, Reader, blocks, exchanges, place

from emulated_uno import need_uno, uno

DOCS = Path(__file__).parents[2] / "docs"
SHORT_STUDY = """
title = "Quick look: LeNet-5 on a part of Fashion-MNIST, pruned in steps"
data = { name = "synthetic", train_samples = 400, test_samples = 50, validation = 50 }
train = { epochs = 1, lr = 3e-3 }
prune = { ratio = 0.6, steps = 1 }
finetune = { epochs = 1, lr = 3e-3 }
select = { experiment = "ratio", budget = ["accuracy_drop<=100", "worst_class>=0"], export = false }
[[experiment]]
name = "ratio"
title = "Accuracy and size by ratio and step"
vary = { "prune.ratio" = [0.6] }
rows = "steps"
columns = ["validation", "accuracy", "params", "macs", "macs_tp"]
"""
LITTLE = {
    "niwaki study run quick": "niwaki study run quick.toml --jobs 1",
    "accuracy_drop<=3 on": "accuracy_drop<=100 and worst_class>=0 on",
    'load_data("fashion-mnist")': 'load_data("synthetic", train_samples=20, test_samples=10, validation=1)',
    'niwaki.load_c("studies/quick/chosen/c")': 'niwaki.load_c(exported("studies/quick/chosen.safetensors"))',
    "import niwaki\n": """import niwaki


def exported(file):
    niwaki.export(file, "small", to="c")
    return "small/c"
""",
}
"""What a short reading of the tutorials does instead; the study exports nothing by itself."""
LITTLE_OF_ONES_OWN = {
    '"fashion-mnist", limit=6000': '"synthetic", train_samples=600, test_samples=10, validation=1',
    "[0.3, 0.5, 0.7]": "[0.5]",
    "0.3: ": "0.5: ",
    "0.7: ": "0.5: ",
    "epochs = 6": "epochs = 1",
    "epochs = 2": "epochs = 0",
    "steps = 3": "steps = 1",
    "[quantize]\n": "",
    "from_scratch = true\n": "",
    'minimize = "flash"': 'minimize = "params"',
    "least flash": "fewest params",
    '["accuracy_drop<=2", "flash<=8KB"]': '["accuracy_drop<=100", "worst_class>=0"]\nexport = false',
    "run mine.toml --trust": "run mine.toml --trust --jobs 1",
    "accuracy_drop<=…": "…",
}
LITTLE_OF_A_SEARCH = {"niwaki compress lenet5": "niwaki compress lenet5 --data synthetic"}
SEARCHING = (
    "niwaki compress lenet5 --data",
    'niwaki compress lenet5 --fit "constants<=8KB',
)  # tests/search has short forms
LITTLE_OF_PHOTOGRAPHS = {"range(100)": "range(40)"}
FEW = {"train_samples=1000, test_samples=200": "train_samples=200, test_samples=50"}
SLOW = (
    "make", "small/c/classify", "niwaki verify", "niwaki bundle", "niwaki doctor", "niwaki bench", "sh", "mkdir", "mv",
)  # fmt: skip
"""Other tests have short forms."""
QUICK = ("ten-minutes", "microcontroller", "arduino-uno", "reading-the-report")
PORT = "/dev/ttyACM0"


@dataclass
class WithUno(Reader):
    """Follows pages with an emulated Uno at PORT, which runs Serial as the pages compiled it."""

    plugged: ExitStack = field(default_factory=ExitStack)
    port: str = ""

    def changed(self, text: str) -> str:
        if PORT not in text:
            return super().changed(text)
        self.port = self.port or self.plugged.enter_context(uno(self.folder / "build" / "Serial.ino.elf"))
        return super().changed(text).replace(PORT, self.port)


def tutorial(name: str) -> Path:
    return DOCS / "tutorials" / f"{name}.md"


def test_the_quick_study_and_the_way_to_a_microcontroller_in_short(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(SHORT_STUDY, encoding="utf-8")
    reader = Reader(tmp_path, short=True, instead=LITTLE, left_out=SLOW)
    for name in QUICK:
        reader.follow(tutorial(name))
    assert reader.commands == 14


def test_ones_own_network_in_short(tmp_path: Path) -> None:
    left_out = (*SLOW, "niwaki export")
    reader = Reader(tmp_path, short=True, instead=LITTLE_OF_ONES_OWN, left_out=left_out)
    reader.follow(tutorial("your-own"))
    assert reader.commands == 4


def test_a_pretrained_network_on_photographs_in_short(tmp_path: Path, zig: None) -> None:
    """Every command of the page, with fewer photographs."""
    reader = Reader(tmp_path, short=True, instead=LITTLE_OF_PHOTOGRAPHS)
    reader.follow(tutorial("photographs"))
    assert reader.commands == 12


def test_a_search_within_a_budget_in_short(tmp_path: Path) -> None:
    reader = Reader(tmp_path, short=True, instead=LITTLE_OF_A_SEARCH, left_out=SEARCHING)
    reader.follow(tutorial("sixteen-kilobytes"))
    assert reader.commands == 1


@pytest.mark.parametrize("guide", ["distillation", "callbacks"])
def test_the_python_of_a_guide_in_short(guide: str, tmp_path: Path) -> None:
    Reader(tmp_path, short=True, instead=FEW).follow(DOCS / "guides" / f"{guide}.md")


@pytest.mark.soak
@pytest.mark.parametrize("guide", ["pruning", "distillation", "callbacks"])
def test_the_python_of_a_guide_as_it_stands(guide: str, tmp_path: Path) -> None:
    Reader(tmp_path).follow(DOCS / "guides" / f"{guide}.md")


@pytest.mark.soak
def test_the_tutorials_as_they_stand(tmp_path: Path, true_data: Path) -> None:
    need_uno()
    with ExitStack() as plugged:
        reader = WithUno(tmp_path, plugged=plugged)
        for name in QUICK:
            reader.follow(tutorial(name))


@pytest.mark.soak
def test_the_python_of_the_readme_as_it_stands(tmp_path: Path, true_data: Path) -> None:
    Reader(tmp_path).follow(DOCS.parent / "README.md")


@pytest.mark.soak
def test_ones_own_network_as_it_stands(tmp_path: Path, true_data: Path, zig: None) -> None:
    Reader(tmp_path).follow(tutorial("your-own"))


@pytest.mark.soak
def test_a_pretrained_network_on_photographs_as_it_stands(tmp_path: Path, zig: None) -> None:
    Reader(tmp_path).follow(tutorial("photographs"))


@pytest.mark.soak
def test_a_search_within_a_budget_as_it_stands(tmp_path: Path, true_data: Path) -> None:
    Reader(tmp_path).follow(tutorial("sixteen-kilobytes"))


def test_every_tutorial_is_read() -> None:
    named = {*QUICK, "your-own", "photographs", "sixteen-kilobytes"}
    assert {path.stem for path in (DOCS / "tutorials").glob("*.md")} == named


def test_a_wrong_line_a_wrong_figure_and_a_command_that_fails_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"

    def follow(text: str) -> None:
        page.write_text(text, encoding="utf-8")
        Reader(tmp_path).follow(page)

    follow('```python\nprint("a 10 b")\n```\n```output\na 10.5 …\n```\n')
    with pytest.raises(AssertionError, match=r"page.md, line 4: not printed: a 12 b"):
        follow('```python\nprint("a 10 b")\n```\n```output\na 12 b\n```\n')
    with pytest.raises(AssertionError, match="not printed: other"):
        follow("```console\n$ niwaki --version\nother\n```\n")
    with pytest.raises(AssertionError, match=r"niwaki inspect nothing: exit code \[2\]"):
        follow("```console\n$ niwaki inspect nothing\n```\n")


def test_blocks_and_exchanges_of_a_page() -> None:
    found = blocks("x\n```console\n$ a \\\n  b\nc\n$ d\n```\n- y\n  ```python\n  z\n  ```\n")
    assert found == [Block("console", "$ a \\\n  b\nc\n$ d\n", 2), Block("python", "z\n", 9)]
    assert list(exchanges(found[0].text)) == [("a    b", "c\n"), ("d", "")]


@pytest.mark.parametrize(
    ("line", "text", "heed", "end"),
    [
        ("a 1,000 b", "x a 1,050 b y", True, 11),
        ("a 1,000 b", "a 2 b a 950 b", True, 13),
        ("a 1,000 b", "a 2 b", True, None),
        ("a 1,000 b", "a 2 b", False, 5),
        ("a … b", "a c d b", True, 7),
    ],
)
def test_a_line_is_found_with_figures_near_its_own(line: str, text: str, heed: bool, end: int | None) -> None:
    assert place(line, text, heed_figures=heed) == end
