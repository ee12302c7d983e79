import pytest
from pydantic import ValidationError

from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec


def test_built_in_data_is_padded_for_lenet():
    for name in ("fashion-mnist", "synthetic"):
        spec = DataSpec(name=name)
        assert spec.preprocessing == Preprocessing(pad=2)
        assert spec.known_input_shape() == (1, 32, 32)
        assert spec.known_classes() == 10


def test_the_padding_stays_when_only_the_scale_is_given():
    spec = DataSpec.model_validate({"preprocessing": {"mean": [0.286], "std": [0.353]}})
    assert spec.preprocessing == Preprocessing(pad=2, mean=(0.286,), std=(0.353,))


def test_a_size_or_pad_of_its_own_is_taken_as_it_is():
    assert DataSpec.model_validate({"preprocessing": {"size": [20, 24]}}).known_input_shape() == (1, 20, 24)
    assert DataSpec.model_validate({"preprocessing": {"pad": 0}}).known_input_shape() == (1, 28, 28)
    assert DataSpec(preprocessing=Preprocessing()).known_input_shape() == (1, 28, 28)


def test_folder_shape_is_known_from_its_size_alone():
    assert DataSpec(name="folder", path="x").known_input_shape() is None
    assert DataSpec(name="folder", path="x").known_classes() is None
    how = {"color": "rgb", "size": [8, 9], "pad": 1}
    assert DataSpec.model_validate({"name": "npz", "path": "x", "preprocessing": how}).known_input_shape() == (
        3,
        10,
        11,
    )


@pytest.mark.parametrize(
    "spec", [DataSpec(fallback=True), DataSpec(name="synthetic", synthetic_seed=3), DataSpec(name="npz", path="x.npz")]
)
def test_json_gives_the_same_back(spec):
    assert DataSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("settings", "key", "message"),
    [
        ({"name": "folder"}, "path", "name = 'folder' needs path: the folder"),
        ({"name": "npz"}, "path", "needs path: the .npz file"),
        ({"name": "synthetic", "path": "x"}, "path", "path does not apply to synthetic, only to"),
        ({"train_samples": 100}, "train_samples", "does not apply to fashion-mnist, only to synthetic"),
        ({"name": "synthetic", "test": 0.5}, "test", "only to folder, csv, idx, npz"),
        ({"name": "folder", "path": "x", "fallback": True}, "fallback", "does not apply to folder"),
        ({"path": "x", "fallback": True}, "fallback", "never falls back"),
        ({"name": "mnist"}, "name", "Input should be"),
        ({"validation": 0}, "validation", "greater than or equal to 1"),
        ({"validate": 1}, "validate", "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused_under_its_key(settings, key, message):
    with pytest.raises(ValidationError) as caught:
        DataSpec.model_validate(settings)
    first = caught.value.errors()[0]
    assert first["loc"] == (key,)
    assert message in first["msg"]
