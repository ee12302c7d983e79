"""The two bare training loops that niwaki's `fit` is compared with: with its kernels, and as people write them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from niwaki.training.fast_convolutions import fast_narrow_convolutions

BATCH = 32
LR = 1e-3


def same_kernels(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int) -> None:
    """One epoch over uint8 images with the optimizer and the convolutions of `fit`, and nothing else from it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    model.train()
    with fast_narrow_convolutions(model):
        for chosen in torch.split(order, BATCH):
            pixels = images.index_select(0, chosen).to(torch.float32).div_(255)
            loss = F.cross_entropy(model(pixels), labels.index_select(0, chosen))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def as_usual(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int) -> None:
    """One epoch over prepared float images, with torch's defaults."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    model.train()
    for chosen in torch.split(order, BATCH):
        loss = F.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
