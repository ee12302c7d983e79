"""What vision finds, on frames drawn by hand."""

import numpy as np
import pytest

from niwaki.deploy.vision.reference import Reference


def frame(ground=100, garment=200, box=(60, 40, 100, 140), size=(240, 320)):
    picture = np.full(size, ground, np.uint8)
    x, y, width, height = box
    picture[y : y + height, x : x + width] = garment
    return picture


@pytest.mark.parametrize(("ground", "garment", "polarity"), [(100, 200, 1), (200, 100, -1), (0, 255, 1), (255, 0, -1)])
def test_a_rectangle_is_found_where_it_is(ground, garment, polarity):
    found = Reference(320, 240).find(frame(ground, garment))
    assert (found.outcome, found.box, found.polarity) == ("found", (60, 40, 100, 140), polarity)
    assert found.contrast == abs(ground - garment)
    expected = np.zeros((28, 28), np.uint8)
    expected[:, 4:24] = 255
    np.testing.assert_array_equal(found.picture, expected)
