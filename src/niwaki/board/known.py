"""`known.c`: the static program's data besides the model (c/known.h)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwaki.board.decision import Decision
from niwaki.board.frames import HEIGHT, WIDTH
from niwaki.board.look import SEARCHING, Look
from niwaki.board.selftest import SelfTest
from niwaki.emit.source import c_string


def write_known(
    selftest: SelfTest, names: Sequence[str], decision: Decision, pad: int, look: Look = SEARCHING
) -> bytes:
    """The source; `decision` comes from `bundle.json`."""
    height, width = selftest.pictures.shape[-2:]
    channels = selftest.images.shape[1] if selftest.images.ndim == 4 else 1
    how = look.how.numbers if look.how else (width, height, 0, 0, 0)
    sides = ", ".join(map(str, (WIDTH, HEIGHT, channels, *how)))
    lines = [
        '#include "known.h"\n',
        f"const char *const known_names[] = {{{', '.join(map(c_string, names))}}};",
        f"const known_rule known_decision = {_rule(decision)};",
        f"const int32_t known_pad = {pad}, known_inner_width = {width}, known_inner_height = {height};",
        f"const int known_images = {len(selftest.images)};",
        _array("uint8_t", "known_inputs", selftest.images),
        _array("int8_t", "known_scores", selftest.scores),
        f"const int known_frames = {len(selftest.film)}, known_learned = {selftest.learned};",
        f"const int known_finds = {int(look.finds)};",
        f"const niwaki_frame known_frame = {{{sides}}};",
        f"const niwaki_layout known_layout = {_layout(channels)};",
        f"const size_t known_film_bytes = {selftest.film[0].size};",
        f"const int32_t known_frame_width = {WIDTH}, known_frame_height = {HEIGHT};",
        _array("uint8_t", "known_film", selftest.film),
        _array("uint8_t", "known_pictures", selftest.pictures),
        "const niwaki_finding known_findings[] = {",
        *(f"  {{{', '.join(str(value) for value in found.values())}}}," for found in selftest.numbers),
        "};",
    ]
    return ("\n".join(lines) + "\n").encode()


def _layout(channels: int) -> str:
    """The niwaki_layout of the film's frames: luminance, then colour for each four pixels."""
    area, half = WIDTH * HEIGHT, WIDTH // 2
    blue, red = area, area + area // 4
    planes = f"{{{blue}, {half}, 1}}, {{{red}, {half}, 1}}, 2, 2" if channels == 3 else "{0, 0, 0}, {0, 0, 0}, 1, 1"
    return f"{{{WIDTH}, {HEIGHT}, {{0, {WIDTH}, 1}}, {planes}, NIWAKI_BT601, 0}}"


def _rule(decision: Decision) -> str:
    energy, margin = decision.energy, decision.margin
    present = f"{int(energy is not None)}, {int(margin is not None)}"
    return f"{{{present}, {_real(energy)}, {_real(decision.temperature)}, {_real(margin)}}}"


def _real(value: float | None) -> str:
    return float(value or 0).hex()


def _array(kind: str, name: str, values: np.ndarray) -> str:
    flat = values.reshape(-1).tolist()
    rows = (",".join(map(str, flat[at : at + 1000])) for at in range(0, len(flat), 1000))
    return f"const {kind} {name}[] = {{\n" + ",\n".join(rows) + "\n};"
