import numpy as np

from niwaki.data.dataset import Split
from niwaki.deploy.exported import open_export
from niwaki.live.strip import choose_strip


def test_every_class_is_there_and_mistakes_too(study):
    graph = open_export(study.folder / "chosen").graph
    strip = choose_strip(graph, study.data.test, 2, 100_000)
    assert strip.pixels.shape == (len(strip.labels), 1, 28, 28)
    np.testing.assert_array_equal(strip.pixels[:, 0], study.data.test.images[strip.places, 0, 2:-2, 2:-2])
    np.testing.assert_array_equal(strip.labels, study.data.test.labels[strip.places])
    assert sorted(set(strip.places)) == list(strip.places)
    right = study.scores(strip.pixels[:, 0]).argmax(1) == strip.labels
    every = study.scores(study.data.test.images[:, 0, 2:-2, 2:-2]).argmax(1) == study.data.test.labels
    for label in range(10):
        of_class = study.data.test.labels == label
        assert right[strip.labels == label].sum() == min(2, every[of_class].sum())
        assert (~right[strip.labels == label]).sum() == min(1, (~every[of_class]).sum())


def test_of_a_large_network_few_images_are_looked_through(study):
    graph = open_export(study.folder / "chosen").graph
    strip = choose_strip(graph, study.data.test, 2, 10**12)
    first = {label: np.flatnonzero(study.data.test.labels == label)[:3] for label in range(10)}
    assert all(place in first[label] for place, label in zip(strip.places, strip.labels, strict=True))


def test_of_many_classes_ten_are_shown(study):
    graph = open_export(study.folder / "chosen").graph
    many = Split(study.data.test.images[:300], np.arange(300) % 30)
    assert sorted(set(choose_strip(graph, many, 2, 100_000).labels)) == [0, 3, 6, 9, 12, 16, 19, 22, 25, 29]
