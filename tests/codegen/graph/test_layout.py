"""The numbers that the generator and the kernels must agree on."""

from niwaki.codegen.graph.layout import pair_bytes
from niwaki.emit.lower import lower
from random_graphs import Builder


def bytes_of(in_c: int, out_c: int, kernel: tuple[int, int], pool: int = 0) -> int:
    builder = Builder((in_c, 12, 12), 0)
    builder.conv(out_c, kernel)
    if pool:
        builder.max_pool((pool, pool), (pool, pool))
    return pair_bytes(lower(builder.graph()).steps)


def test_what_two_places_see_is_widened_at_once_or_by_kernel_rows() -> None:
    assert bytes_of(16, 3, (3, 3)) == 4 * 144
    assert bytes_of(3, 3, (3, 3)) == 4 * 28  # 27 inputs end within a word
    assert bytes_of(37, 3, (3, 3)) == 4 * 336  # at most 333 bytes and 1,024 more
    assert bytes_of(38, 3, (3, 3)) == 16  # not even a kernel row: it does not end on a word
    assert bytes_of(64, 64, (3, 3)) == 4 * 192 + 8 * 65  # one kernel row at a time, and two sums of 64 channels
    assert bytes_of(64, 4, (3, 3)) == 2 * 4 * 192 + 8 * 5  # two rows
    assert bytes_of(16, 3, (3, 3), pool=2) == 0


def test_the_inputs_of_a_matrix_product_are_widened_if_they_are_few() -> None:
    for inputs, most in ((101, 8 * 26), (256, 8 * 64), (257, 16)):
        builder = Builder((inputs, 1, 1), 0)
        builder.dense(3)
        assert pair_bytes(lower(builder.graph()).steps) == most
