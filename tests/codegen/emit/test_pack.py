"""Weights in blocks and tiles: every weight at its place, and nothing but zeros beside them."""

from __future__ import annotations

import numpy as np

from niwaki.codegen.emit import pack


def test_blocks_of_output_channels() -> None:
    assert [pack.blocks(n) for n in (1, 4, 5, 8, 9, 16, 17)] == [[4], [4], [8], [8], [16], [16], [16, 16]]
    assert pack.padded(33) == 48


def test_four_inputs_of_each_channel_lie_side_by_side() -> None:
    weights = np.arange(1, 1 + 2 * 1 * 5, dtype=np.int64).reshape(2, 1, 5)
    #        inputs 0-3 of channels 0, 1, none, none, then input 4 of the same
    assert pack.in_blocks(weights).tolist() == [
        1, 2, 3, 4, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]  # fmt: skip


def test_a_weight_is_found_where_the_kernels_look_for_it() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (37, 3, 10)).astype(np.int8)
    flat, groups = pack.in_blocks(weights), 3
    for channel, row, index in ((0, 0, 0), (15, 2, 9), (16, 1, 4), (36, 2, 7)):
        block, lane = divmod(channel, 16)
        at = ((block * 3 + row) * groups + index // 4) * 64 + lane * 4 + index % 4
        assert flat[at] == weights[channel, row, index]
    assert len(flat) == 48 * 3 * 12
    assert int(np.count_nonzero(flat)) == int(np.count_nonzero(weights))


def test_depthwise_weights_in_tiles_of_16_channels() -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 128, (20, 5, 3)).astype(np.int8)  # channels, rows, columns
    flat = pack.in_tiles(weights)
    for channel, row, column in ((0, 0, 0), (15, 4, 2), (16, 3, 1), (19, 4, 0)):
        tile, lane = divmod(channel, 16)
        at = (((tile * 3 + column) * 2 + row // 4) * 16 + lane) * 4 + row % 4
        assert flat[at] == weights[channel, row, column]
    assert int(np.count_nonzero(flat)) == weights.size


def test_filled_up_values() -> None:
    assert pack.fill(np.array([5, 6]), 1).tolist() == [5, 6, 1, 1]
    assert pack.fill(np.array([5]), to=3).tolist() == [5, 0, 0]
