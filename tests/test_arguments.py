"""Arguments of the wrong type give one clear line, and unambiguous short forms work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import niwaki
from niwaki.callbacks import CSVLogger, EpochEnd, StageEnd
from niwaki.errors import NiwakiError, SpecError

ARGS = {"num_classes": 4, "image_size": 16, "widths": [3, 6, 16, 12]}
QUICK = {"batch_size": 20, "lr": 3e-3}


@pytest.fixture(scope="module")
def data(small_npz: Path) -> object:
    return niwaki.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m, d: niwaki.prune(m, d, finetune="two"), r"finetune = 'two': expected a dictionary, as \{'epochs': 5"),
        (lambda m, d: niwaki.prune(m, d, finetune=True), r"finetune = True: expected a dictionary"),
        (lambda m, d: niwaki.prune(m, d, finetune=-1), r"`epochs=-1`: .*greater than or equal to 0"),
        (lambda m, d: niwaki.train(m, d, epochs="5"), r"niwaki.train: epochs = '5': expected int or None"),
        (lambda m, d: niwaki.train(m, d, seed=1.5), r"niwaki.train: seed = 1.5: expected int"),
        (lambda m, d: niwaki.train(m, d, seed=True), r"niwaki.train: seed = True: expected int"),
        (lambda m, d: niwaki.train(m, d, callbacks=print), r"callbacks = .*: expected a list"),
        (lambda m, _: niwaki.train(m), r"niwaki.train: missing .*'data'; it takes model, data, epochs, .* by name"),
        (lambda m, d: niwaki.train(m, d, 1, 2), r"niwaki.train: too many positional arguments; it takes model, data"),
        (lambda m, d: niwaki.evaluate(m, d, splt="test"), r"unexpected keyword .*; did you mean 'split'\? it takes"),
        (lambda m, d: niwaki.evaluate(m, d, device=0), r"niwaki.evaluate: device = 0: expected text"),
        (lambda *_: niwaki.verify("x", images="all"), r"niwaki.verify: images = 'all': expected int or None"),
        (lambda *_: niwaki.export(3, "out"), r"niwaki.export: file = 3: expected text or path"),
        (lambda *_: niwaki.export("x", "out", to=3), r"niwaki.export: to = 3: expected a text or a list of texts"),
        (lambda *_: niwaki.export("x", "out", to=["c", 3]), r"to = \['c', 3\]: expected a text or a list of texts"),
        (lambda m, d: niwaki.save(m, "x", factory="lenet5", labels=3), r"labels = 3: expected a list of texts"),
        (lambda m, d: niwaki.prune(m, d, after_step=3), r"niwaki.prune: after_step = 3: expected a function"),
        (lambda *_: niwaki.bench(3), r"files = 3: expected a path, or a list of paths"),
        (lambda *_: niwaki.bench([1]), r"files = \[1\]: expected a path, or a list of paths"),
        (lambda *_: niwaki.run_study("quick", jobs="2"), r"niwaki.run_study: jobs = '2': expected int or None"),
        (lambda *_: niwaki.open_study(None), r"niwaki.open_study: folder = None: expected text or path"),
    ],
)
def test_what_is_of_the_wrong_kind_is_one_clear_line(call: Callable[..., object], said: str, data) -> None:
    with pytest.raises(SpecError, match=said) as error:
        call(niwaki.LeNet5(**ARGS), data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", sorted(set(niwaki.__all__) - {"NiwakiError"}))
@pytest.mark.parametrize("value", [3, [1], None])
def test_no_public_name_shows_an_error_of_python(name: str, value: object) -> None:
    with pytest.raises(NiwakiError):
        getattr(niwaki, name)(value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: niwaki.LeNet5(widths=3), "widths 3: give four positive numbers"),
        (lambda: niwaki.LeNet5(widths=[1.5, 2, 3, 4]), r"widths \(1\.5, 2, 3, 4\): give four positive numbers"),
        (lambda: niwaki.LeNet5(num_classes="ten"), "'ten' classes, 1 input channels"),
        (lambda: niwaki.LeNet5(image_size=None), "image size None: it needs at least 16"),
        (lambda: niwaki.Preprocessing(size=3), "^niwaki.Preprocessing: `size=3`: expected a list$"),
        (lambda: niwaki.Preprocessing(2), "^niwaki.Preprocessing takes settings by name: color, size, resize, "),
        (lambda: niwaki.run_study("quick", listener=3), "listener = 3: has no method message"),
        (lambda: CSVLogger(3), "^CSVLogger: file = 3: expected a text or a path$"),
        (lambda: niwaki.count(niwaki.LeNet5(), 3), r"the input shape is 3: expected \(channels, height, width\)"),
    ],
)
def test_what_is_built_by_hand_says_what_it_takes(call: Callable[[], object], said: str) -> None:
    with pytest.raises(NiwakiError, match=said):
        call()


class Noted:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_epoch(self, event: EpochEnd) -> None:
        self.heard.append((event.name, event.epoch, event.epochs))

    def on_stage(self, event: StageEnd) -> None:
        self.heard.append((event.name, event.done, event.total, event.metrics["removed"] > 0))


def test_a_number_is_epochs_and_callbacks_hear_all_of_it(data) -> None:
    model, noted = niwaki.LeNet5(**ARGS), Noted()
    assert len(niwaki.train(model, data, 2, callbacks=[noted], **QUICK)) == 2
    niwaki.prune(model, data, ratio=0.4, steps=2, finetune=1, callbacks=[noted])
    assert noted.heard == [
        ("train", 1, 2), ("train", 2, 2),
        ("fine-tune step 1/2", 1, 1), ("prune step 1/2", 1, 2, True),
        ("fine-tune step 2/2", 1, 1), ("prune step 2/2", 2, 2, True),
    ]  # fmt: skip


def test_a_checked_function_keeps_its_signature_and_words() -> None:
    assert niwaki.train.__name__ == "train"
    assert list(niwaki.train.__annotations__)[:2] == ["model", "data"]
    assert "Train `model` in place" in (niwaki.train.__doc__ or "")
