"""The networks that have a name: small ones, which do without what a stream of few labels could not train.

Every activation is smooth, so that second derivatives say what a step will do. None has dropout or a batch's statistics: the
regularity λ does their work, and an event's outputs do not depend on what else was read with it.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import final

import torch
from torch import nn

PAD = -1  # in the place of a token that is not there


def mlp(inputs: int, outputs: int, hidden: tuple[int, ...]) -> nn.Module:
    """A multilayer perceptron: (n, inputs) → (n, outputs) through layers of these widths, with tanh between them."""
    widths = (inputs, *hidden)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def cnn(inputs: int, outputs: int, shape: tuple[int, ...], channels: tuple[int, ...]) -> nn.Module:
    """A convolutional network on rows that are images of `shape` (channels, height, width): 3×3 convolutions, each but the
    first on half the resolution of the one before, then the mean over places and halves of the image.
    """
    assert inputs == prod(shape), "a row is an image"
    layers: list[nn.Module] = [nn.Unflatten(1, shape)]
    before, side = shape[0], min(shape[1:])
    for number, count in enumerate(channels):
        layers += [nn.Conv2d(before, count, 3, padding=1), nn.Tanh()]
        if number < len(channels) - 1 and side >= 4:
            layers.append(nn.AvgPool2d(2))
            side //= 2
        before = count
    grid = min(2, side)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(grid), nn.Flatten(), nn.Linear(before * grid * grid, outputs))


@final
class EmbeddingBag(nn.Module):
    """The mean of the tokens' embeddings, then a linear layer: (n, length) token ids, PAD where there is none."""

    def __init__(self, outputs: int, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.output = nn.Linear(width, outputs)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        there = (tokens != PAD).to(self.embedding.weight.dtype)
        summed = (self.embedding(tokens.clamp(min=0)) * there[..., None]).sum(dim=1)
        out: torch.Tensor = self.output(summed / there.sum(dim=1, keepdim=True).clamp(min=1.0))
        return out
