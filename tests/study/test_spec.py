from __future__ import annotations

from pathlib import Path

import pytest

from niwaki.errors import SpecError
from niwaki.study.spec import load_spec, parse_spec, presets, resolve

DATA, REST = "[data]\nname = 'synthetic'\n", "[[experiment]]\nname = 'one'\n"
ONE = """
[data]
name = "synthetic"
[[experiment]]
name = "one"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "not valid TOML"),
        ("", "experiment is missing"),
        (ONE + "[train]\nepoch = 3", r"train.epoch is not a known key; did you mean 'epochs'\? allowed: epochs, batch"),
        (ONE + "[train]\nepochs = -1", r"train.epochs = -1: .*greater than or equal to 0"),
        (ONE + '[train]\nlr = "fast"', r"train.lr = 'fast': .*valid number"),
        (ONE + '[train]\noptimizer = "lion"', "train.optimizer = 'lion': .*'adam', 'adamw' or 'sgd'"),
        (ONE + '[prune]\nscope = "all"', "prune.scope = 'all': .*'conv', 'linear' or 'both'"),
        (ONE + "[prune]\nratio = 1.0", "prune.ratio = 1.0: .*less than 1"),
        (ONE + '[data]\nname = "mnist"', "TOML"),
        ('[data]\nname = "mnist"\n[[experiment]]\nname = "a"', "data.name = 'mnist': .*'fashion-mnist'"),
        ("seeds = 0\n" + ONE, "seeds = 0: .*greater than or equal to 1"),
        ("jobs = 2\n" + ONE, "jobs is not a known key"),
        ("x = 1", r"x is not a known key; allowed: title, .* \(and 1 more\)"),
        (ONE + '[[experiment]]\nname = "one"', "two experiments are called 'one'"),
        (ONE + '[[experiment]]\nname = "Größe"', "experiment.1.name = 'Größe'"),
        (ONE + "vary = { 'train.lr' = [] }", "vary.train.lr has no values"),
        (ONE + "vary = { 'train.lr' = [1, 1.0] }", "vary.train.lr repeats a value"),
        (ONE + "vary = { 'train.lr' = [1], 'prune.ratio' = [0.5] }", "an experiment varies one thing"),
        (ONE + "vary = { 'train.lr' = [1] }\nset = { 'train.lr' = 2 }", "both varied and set"),
        (ONE + "vary = { 'data.limit' = [1, 2] }", "'data.limit' cannot be varied or set; use model.…, train.…"),
        (
            ONE + "vary = { 'prune.rato' = [0.5] }",
            "experiment 'one': prune.rato is not a known key; did you mean 'ratio'",
        ),
        (ONE + "vary = { 'prune.ratio' = [0.5, 1.5] }", "experiment 'one': prune.ratio = 1.5"),
        (ONE + "set = { 'model.args.x.y' = 1 }", "there is no table 'x'"),
        (ONE + "longer = true", r"longer trains the unpruned network .* none is: set \[prune\], and epochs"),
        (ONE + "longer = true\nset = { 'finetune.epochs' = 0, 'prune.ratio' = 0.5 }", "none is: set"),
        (ONE + "longer = true\nfrom_scratch = true", "two controls: make an experiment of each"),
        (ONE + "from_scratch = true", r"from_scratch trains .* set \[prune\]"),
        (ONE + "vary = { 'train.lr' = [] }", "^mine.toml: experiment.0: vary.train.lr has no values$"),
        (
            "[prune]\n" + ONE + "longer = true\nvary = { 'prune.ratio' = [0.5, 0.9] }",
            "'one': longer does not prune, so prune.ratio changes nothing: leave vary out",
        ),
        (ONE + 'longer = "yes"', "experiment.0.longer = 'yes': .*valid boolean"),
        (ONE + "from_scratch = 1", "experiment.0.from_scratch = 1: .*valid boolean"),
        (ONE + "[select]\nexperiment = 'one'\nexport = 'off'", "select.export = 'off': .*valid boolean"),
        (ONE + "published = [{ accuracy = '91' }]", "accuracy.* = '91'"),
        (ONE + "published = [{ params = '91' }]", "params = '91': .*valid integer"),
        (DATA + "limit = '9'\n" + REST, "data.limit = '9': .*valid integer"),
        (DATA.replace("synthetic", "npz") + "path = 'x'\ntest = '0.5'\n" + REST, "data.test = '0.5': .*valid number"),
        (
            DATA.replace("synthetic", "fashion-mnist") + "fallback = 'on'\n" + REST,
            "data.fallback = 'on': .*valid boolean",
        ),
        (ONE + "[data.preprocessing]\nsize = ['8', 8]", "data.preprocessing.size.0 = '8': .*valid integer"),
        (ONE + "[data.preprocessing]\nmean = ['0.5']", "data.preprocessing.mean.0 = '0.5': .*valid number"),
        (ONE + "[train]\nlr = nan", "train.lr = nan: .*a finite number"),
        (ONE + "[train]\nweight_decay = inf", "train.weight_decay = inf: .*a finite number"),
        (DATA.replace("synthetic", "npz") + "path = 'x'\ntest = nan\n" + REST, "data.test = nan: .*a finite number"),
        (ONE + "[train]\nepochs = true", "train.epochs = True: .*valid integer"),
        (ONE + '[train]\nbatch_size = "7"', "train.batch_size = '7': .*valid integer"),
        (ONE + "vary = { 'model.weights' = ['a', 'b'] }", "'model.weights' cannot be varied; make a study for each"),
        (ONE + "[select]\nexperiment = 'two'", "select.experiment is 'two'; experiments: one"),
        (ONE + "[select]\nexperiment = 'one'\nbudget = ['small']", "budget 'small': expected a quantity"),
        (ONE + "[quantize]\nkind = 'int4'", "quantize.kind = 'int4': .*'static', 'dynamic' or 'qat'"),
        (ONE + "[quantize]\nimages = 0", "quantize.images = 0: .*greater than or equal to 1"),
        (ONE + "vary = { 'quantize.kin' = ['static'] }", "quantize.kin is not a known key; did you mean 'kind'"),
        (
            ONE + "[select]\nexperiment = 'one'\nbudget = ['params<=9', 'flash<=16KB']",
            "mine.toml: select: flash<=16KB: flash and RAM are known for static int8 only, but experiment 'one'",
        ),
        (
            ONE + "set = { 'quantize.kind' = 'dynamic' }\n[select]\nexperiment = 'one'\nbudget = ['ram<=8KB']",
            'ram<=8KB: flash and RAM .* set .quantize. kind = "static"',
        ),
        (ONE + "[select]\nexperiment = 'one'\nminimize = 'flash'", "select: flash: flash and RAM are known"),
        (ONE + "[[experiment]]\nname='b'\npublished = [{ accuracy = 1, colour = 2 }]", "colour is not a known key"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec(text, "mine.toml")


def test_unknown_and_unreadable_studies(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError,
        match=r"unknown study 'sauce': did you mean 'source'\? built-in are .*; or give a \.toml",
    ):
        load_spec("sauce")
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        load_spec(str(tmp_path / "none.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not valid TOML: not UTF-8 at byte 0"):
        load_spec(str(tmp_path / "binary.toml"))


def test_presets_are_valid() -> None:
    assert presets() == ["bytes", "camera", "quick", "source"]
    for name in presets():
        spec, folder = load_spec(name)
        assert folder == name
        assert spec.experiment


def test_the_study_of_the_guide_to_small_networks_is_valid() -> None:
    spec, _ = load_spec(str(Path(__file__).parents[2] / "benchmarks/small-networks.toml"))
    assert spec.seeds == 3
    assert {experiment.name for experiment in spec.experiment} >= {"flips8", "scratch8", "plain8", "whole4", "whole2"}


def test_weights_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[model]\nweights = "w.safetensors"\n' + ONE)
    spec, _ = load_spec(str(tmp_path / "mine.toml"))
    assert spec.model.weights == tmp_path / "w.safetensors"


def test_one_thing_varies_and_everything_else_is_fixed() -> None:
    text = ONE + "vary = { 'prune.ratio' = [0.2, 0.4] }\nset = { 'prune.steps' = 2, 'model.args.num_classes' = 3 }"
    spec = parse_spec(text, "x")
    (first, a), (second, b) = resolve(spec, spec.experiment[0])
    assert (first, second) == (0.2, 0.4)
    assert (a.prune.ratio, b.prune.ratio, a.prune.steps) == (0.2, 0.4, 2)
    assert a.model.args == {"num_classes": 3}
    assert a.model_copy(update={"prune": b.prune}) == b
    assert spec.prune is None


def test_quantization_is_of_the_study_or_of_one_experiment() -> None:
    text = ONE + "set = { 'quantize.kind' = 'dynamic' }\n[[experiment]]\nname = 'two'\n"
    spec = parse_spec(text, "x")
    ((_, one),), ((_, two),) = (resolve(spec, experiment) for experiment in spec.experiment)
    assert (one.quantize.kind, two.quantize) == ("dynamic", None)
    spec = parse_spec(text + "[quantize]\nimages = 7", "x")
    ((_, one),), ((_, two),) = (resolve(spec, experiment) for experiment in spec.experiment)
    assert (one.quantize.kind, one.quantize.images) == ("dynamic", 7)
    assert (two.quantize.kind, two.quantize.images) == ("static", 7)
    whole = "[quantize]\n[select]\nexperiment = 'two'\nbudget = ['flash<=16KB', 'ram<=8KB']\nminimize = 'ram'\n"
    assert parse_spec(text + whole, "x").select.of_generated_c == "flash<=16KB"
