"""Weights in blocks, tiles and few bits: every weight in its place, and only zeros beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.codegen.graph.program import Step
from niwaki.emit import pack


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


def values_in(packed: np.ndarray, bits: int) -> list[list[int]]:
    """The values in the lanes of each byte, the first from the highest bits."""
    text = [f"{byte & 255:08b}" for byte in packed.tolist()]
    cut = [[byte[at : at + bits] for at in range(0, 8, bits)] for byte in text]
    return [[int(lane, 2) - (1 << bits if lane[0] == "1" else 0) for lane in lanes] for lanes in cut]


def test_bytes_have_their_first_value_in_the_highest_bits() -> None:
    assert pack.in_bytes(np.array([[-8, 7], [1, -1]]), 4).tolist() == [0x87 - 256, 0x1F]
    assert pack.in_bytes(np.array([[-2, -1, 0, 1]]), 2).tolist() == [0b10110001 - 256]


def test_four_channels_of_2_bits_share_each_byte() -> None:
    weights = np.array([[-2, -1, 0], [1, 1, 1], [0, 0, 1], [-1, 0, -2]])
    assert values_in(pack.in_channels(weights, 2), 2) == [[-2, 1, 0, -1], [-1, 1, 0, 0], [0, 1, 1, -2]]


def test_four_channels_of_4_bits_are_two_rows_of_bytes() -> None:
    weights = np.array([[-8, 7], [1, 2], [3, 4], [5, -6]])
    assert values_in(pack.in_channels(weights, 4), 4) == [[-8, 1], [7, 2], [3, 5], [4, -6]]


def test_strips_of_a_row_that_shares_no_byte_with_others() -> None:
    """What the number of strips does not divide is in one byte more."""
    assert values_in(pack.in_channels(np.array([[1, 2, 3, 4, 5]]), 4), 4) == [[1, 3], [2, 4], [5, 0]]
    row = np.array([[1, 0, -1, -2, 1, -1, 0, -2, 1, 1, 1]])
    assert values_in(pack.in_channels(row, 2), 2) == [[1, -1, 1, 0], [0, -2, -1, -2], [1, 1, 1, 0]]
    pair = np.array([[1, 0, -1, -2, 1], [-1, -2, 0, 1, -2]])  # inputs 0 and 2 of both, 1 and 3, then 4
    assert values_in(pack.in_channels(pair, 2), 2) == [[1, -1, -1, 0], [0, -2, -2, 1], [1, -2, 0, 0]]


def unpacked(packed: np.ndarray, channels: int, size: int, bits: int) -> np.ndarray:
    """Weights (channels, size), read byte by byte as the kernels do."""
    found, lanes, at, first = np.full((channels, size), 99), values_in(packed, bits), 0, 0
    while first < channels:
        some = 4 if channels - first >= 4 else 2 if channels - first >= 2 else 1
        for start in range(0, some, 8 // bits):
            together = min(some, 8 // bits)
            strips = 8 // bits // together
            for index in range(size):
                strip, place = divmod(index, size // strips) if size // strips else (strips, index)
                if strip >= strips:  # the byte after the strips
                    strip, place = index - strips * (size // strips), size // strips
                for channel in range(together):
                    found[first + start + channel, index] = lanes[at + place][strip * together + channel]
            at += -(-size // strips)
        first += some
    assert at == len(packed)
    return found


@given(st.integers(1, 13), st.integers(1, 41), st.sampled_from([2, 4]), st.integers(0, 2**32 - 1))
def test_what_is_packed_can_be_read_again(channels: int, size: int, bits: int, seed: int) -> None:
    low = 1 << bits - 1
    weights = np.random.default_rng(seed).integers(-low, low, (channels, size)).astype(np.int8)
    packed = pack.in_channels(weights, bits)
    np.testing.assert_array_equal(unpacked(packed, channels, size, bits), weights)
    rest = channels % 4
    sizes = [channels // 4 * size * bits // 2, *(-(-size * part * bits // 8) for part in (rest & 2, rest & 1))]
    assert (packed.dtype, len(packed)) == (np.int8, sum(sizes))


def weighted(shape: tuple[int, ...], high: int, lies: str, kernel: str = "conv") -> pack.Stored | None:
    weights = np.full(shape, high, np.int8)
    return pack.stored(Step(kernel, "", (), "", {}, {"weights": weights}, lies))


@pytest.mark.parametrize(
    ("shape", "lies", "kernel", "size"),
    [
        ((5, 7), "blocks", "dense", 2 * 7 + 4),  # four channels as two rows, then one
        ((3, 2, 2, 3), "blocks", "conv", 12 + 6),
        ((3, 2, 2, 3), "blocks", "large_conv", 3 * 4 * 2),  # each tap by itself
        ((4, 3, 3, 2), "rows", "conv", 4 * 9),
        ((7, 3, 2), "depthwise", "conv", 6 * 4),  # each tap has a row of seven channels
    ],
)
def test_bytes_of_4_bits_by_layout(shape: tuple[int, ...], lies: str, kernel: str, size: int) -> None:
    for high in (7, -8):
        stored = weighted(shape, high, lies, kernel)
        assert stored is not None
        assert (stored.bits, stored.values.size, stored.suffix) == (4, size, "_4bit")
    wider = weighted(shape, 8, lies, kernel)
    assert wider is not None
    assert (wider.bits, wider.values.size, wider.suffix) == (8, np.prod(shape), "")


def test_weights_are_packed_only_if_that_takes_fewer_bytes() -> None:
    stored = weighted((3, 2, 2, 1), 1, "rows")  # one weight a tap, a byte for each
    assert stored is not None
    assert (stored.bits, stored.values.size) == (8, 12)
    assert weighted((3, 2), 1, "") is None


def test_depthwise_weights_of_few_bits_lie_tap_by_tap() -> None:
    weights = np.arange(-8, 7).reshape(5, 1, 3).astype(np.int8)  # five channels, three taps
    stored = pack.stored(Step("conv", "", (), "", {}, {"weights": weights}, "depthwise"))
    assert stored is not None
    taps = [[-8, -5, -2, 1, 4, 0], [-7, -4, -1, 2, 5, 0], [-6, -3, 0, 3, 6, 0]]
    assert values_in(stored.values, 4) == [tap[at : at + 2] for tap in taps for at in (0, 2, 4)]
