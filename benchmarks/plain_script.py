"""The plain script that niwaki is measured against: what the source study's authors would have written.

One trial after the other, each from the start: images through PIL transforms, a DataLoader, torch's
defaults (its own number of threads, its own Adam), torch-pruning with one pruner per trial.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
import torch_pruning
from PIL import Image, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Garments(Dataset):
    """Fashion-MNIST with transforms as torchvision does them: PIL image, padded by 2, to a float tensor."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.images[index]), border=2, fill=0)
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True)).view(1, 32, 32)
        return pixels.to(torch.float32).div(255), int(self.labels[index])


@dataclass
class Slice:
    """What a slice of an epoch took."""

    images: int
    seconds: float


def train_slice(model: nn.Module, data: Dataset, lr: float, images: int, workers: int = 0) -> Slice:
    """Train on the first `images` images that the shuffled loader gives, as the script's epoch does."""
    loader = DataLoader(data, batch_size=32, shuffle=True, num_workers=workers)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    loss_function = nn.CrossEntropyLoss()
    model.train()
    seen, begun = 0, 0.0
    for inputs, targets in loader:
        if seen == 0:
            begun = time.perf_counter()  # the loader's start is not counted
        optimizer.zero_grad()
        loss = loss_function(model(inputs), targets)
        loss.backward()
        optimizer.step()
        seen += len(targets)
        if seen >= images:
            break
    return Slice(seen, time.perf_counter() - begun)


def pruner_of(model: nn.Module, ratio: float, steps: int, scope: str) -> torch_pruning.BasePruner:
    """The pruner of a trial, as the source study made it."""
    ignored = [model.fc3]
    if scope == "conv":
        ignored += [model.fc1, model.fc2]
    if scope == "linear":
        ignored += [model.conv1, model.conv2]
    return torch_pruning.pruner.MagnitudePruner(
        model, torch.rand(1, 1, 32, 32), importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=ratio, iterative_steps=steps, ignored_layers=ignored, in_channel_groups={},
        out_channel_groups={}, num_heads={},
    )  # fmt: skip
