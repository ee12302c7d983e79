"""The plain script that niwaki is compared with: what the source study's authors would have written.

One trial after the other, each from the start: images through PIL transforms, a DataLoader, torch's
defaults (its own number of threads, its own Adam), torch-pruning with one pruner per trial.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
import torch_pruning
from PIL import Image, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Garments(Dataset):
    """Fashion-MNIST with the usual transforms: a PIL image of 28 × 28, padded by 2, to a float tensor."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.images[index]), border=2, fill=0)
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True)).view(1, 32, 32)
        return pixels.to(torch.float32).div(255), int(self.labels[index])


def train_epoch(model: nn.Module, data: Dataset, lr: float) -> float:
    """Train for one epoch; the seconds that it took."""
    loader = DataLoader(data, batch_size=32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    loss_function = nn.CrossEntropyLoss()
    model.train()
    begun = time.perf_counter()
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = loss_function(model(inputs), targets)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - begun


def run_trial(model: nn.Module, data: Dataset, ratio: float, steps: int) -> Iterator[nn.Module]:
    """One trial with an epoch per stage: train, then prune and fine-tune step by step; the model after each stage."""
    train_epoch(model, data, lr=1e-3)
    yield model
    pruner = torch_pruning.pruner.MagnitudePruner(
        model,
        torch.rand(1, 1, 32, 32),
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=ratio,
        iterative_steps=steps,
        ignored_layers=[model.fc3],
        # Set because torch-pruning's defaults are shared between all pruners of a process.
        in_channel_groups={},
        out_channel_groups={},
        num_heads={},
    )
    for _ in range(steps):
        pruner.step()
        train_epoch(model, data, lr=1e-4)
        yield model
