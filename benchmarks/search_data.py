"""Data and a network for the benchmark of searches: ten syllables as a brush may write them, and a residual network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torch.nn import functional as F

from niwaki.errors import ToolMissing

SYLLABLES = "おきすつなはまやれを"  # the classes of KMNIST
FONTS = tuple(
    Path(f"/usr/share/fonts/opentype/noto/Noto{style}CJK-{weight}.ttc")
    for style in ("Sans", "Serif")
    for weight in ("Regular", "Bold")
)
_SIDE, _DRAWN = 28, 56  # pixels


def write_syllables(file: Path, train: int, test: int) -> None:
    """An .npz of grey 28×28 images of syllables: four fonts, turned, sheared, stretched, moved, with worn strokes.

    Raises ToolMissing without the fonts.
    """
    missing = [font for font in FONTS if not font.is_file()]
    if missing:
        raise ToolMissing(f"{missing[0]} is not there: apt-get install fonts-noto-cjk")
    draw = np.random.default_rng(0)
    fonts = [ImageFont.truetype(str(font), 44) for font in FONTS]
    parts = {"train": train, "test": test}
    arrays = {}
    for part, count in parts.items():
        labels = np.arange(count) % len(SYLLABLES)
        arrays[f"x_{part}"] = np.stack([_syllable(SYLLABLES[label], fonts, draw) for label in labels])
        arrays[f"y_{part}"] = labels
    np.savez(file, **arrays)


def _syllable(text: str, fonts: list[ImageFont.FreeTypeFont], draw: np.random.Generator) -> np.ndarray:
    """One image, white on black, uint8 (28, 28)."""
    drawn = Image.new("L", (_DRAWN, _DRAWN))
    font = fonts[int(draw.integers(len(fonts)))]
    ImageDraw.Draw(drawn).text((_DRAWN / 2, _DRAWN / 2), text, fill=255, font=font, anchor="mm")
    angle, shear = draw.normal(0, 0.2), draw.normal(0, 0.2)
    across, down = draw.uniform(0.8, 1.5, 2)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turned @ np.array([[across, shear], [0, down]])
    centre = np.full(2, _DRAWN / 2)
    offset = centre - matrix @ (centre + draw.normal(0, 3, 2))
    drawn = drawn.transform(
        drawn.size, Image.Transform.AFFINE, (*matrix[0], offset[0], *matrix[1], offset[1]), Image.Resampling.BILINEAR
    )
    small = np.asarray(drawn.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    worn = F.interpolate(torch.from_numpy(draw.uniform(0, 1.6, (1, 1, 7, 7))), _SIDE, mode="bilinear")[0, 0].numpy()
    return np.clip(small * worn + draw.normal(0, 12, small.shape), 0, 255).astype(np.uint8)


class Residual(nn.Module):
    """Three residual stages with batch norm, for colour images."""

    def __init__(self, width: int = 16, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            _Block(width, width, 1), _Block(width, 2 * width, 2), _Block(2 * width, 2 * width, 1)
        )
        self.classify = nn.Linear(2 * width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.classify(x.mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        )
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.second(F.relu(self.norm1(self.first(x)))))
        return F.relu(y + self.shortcut(x))
