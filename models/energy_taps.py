"""What a pass multiplies: rows of the account of energy, each a layer of a network and what drives it in a call.

A backbone lists its own (`models.backbone.Backbone.energy_taps`); `pipeline.evaluation.energy` listens to them and counts.
Dimensions: T timesteps, B batch, R tokens or positions, D channels of a token, H heads.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SPIKES, COUNTS, NUMBERS = "spikes", "counts", "numbers"  # what a layer's inputs are; with numbers every operation is a MAC


@dataclass(frozen=True)
class Drive:
    """What drives a layer in one batch, float64 [T, B] each."""

    tokens: np.ndarray  # live ones
    inputs: np.ndarray  # of all live tokens
    nonzero: np.ndarray  # those that are not 0
    total: np.ndarray  # their sum
    operations: np.ndarray


@dataclass(frozen=True, eq=False)
class EnergyTap:
    """One row of the account. `read` makes its Drive of a call of `layer`, from its arguments by name and what it returned;
    `weights`: the layers whose parameters it accounts for. A layer that is not told which tokens are live has as `live` what
    `within` was called with.
    """

    module: str
    block: int
    name: str
    inputs: str
    layer: nn.Module
    read: Callable[[dict, Tensor], Drive]
    weights: tuple[nn.Module, ...] = ()
    within: nn.Module | None = None


def conv_tap(name: str, layer: nn.Module, inputs: str) -> EnergyTap:
    """A 3x3 convolution `layer.conv` of stride 1, called with x [S, B, H, W, D] and, where x is given once, `timesteps`."""

    def read(given: dict, _) -> Drive:
        return drive(given["x"].flatten(2, 3), fan_out, timesteps=given.get("timesteps"))

    fan_out = layer.conv.weight[:, 0].numel()  # 9 x Cout: stride 1, so each input is used that often, padding included
    return EnergyTap("sps", 0, name, inputs, layer, read, (layer.conv,))


def linear_tap(module: str, block: int, name: str, layer: nn.Module, inputs: str) -> EnergyTap:
    """A linear layer `layer.linear` on tokens, called with x [T, B, K, D] and `live`."""

    def read(given: dict, _) -> Drive:
        return drive(given["x"], layer.linear.out_features, given.get("live"))

    return EnergyTap(module, block, name, inputs, layer, read, (layer.linear,))


def attention_taps(block: int, qkv: nn.Module, heads: int) -> list[EnergyTap]:
    """k^T v and q (k^T v), of the spikes that a layer returns side by side: each meets the D/H channels of its head."""

    def read(part: int) -> Callable[[dict, Tensor], Drive]:
        return lambda given, spikes: drive(spikes.chunk(3, dim=-1)[part], width // heads, given.get("live"))

    width = qkv.linear.out_features // 3
    return [EnergyTap("ssa", block, name, SPIKES, qkv, read(part)) for name, part in (("kv", 1), ("q_kv", 0))]


def head_tap(layer: nn.Linear) -> EnergyTap:
    """The head, on features [T, B, D]."""

    def read(given: dict, _) -> Drive:
        return drive(given["input"][:, :, None], layer.out_features)

    return EnergyTap("head", 0, "head", NUMBERS, layer, read, (layer,))


def read_patches(given: dict, output: Tensor) -> Drive:
    """A convolution [B, 3, S, S] whose stride is its kernel, so that each pixel is in one patch: a patch is a token."""
    size = given["input"].shape[-1] // output.shape[-1]
    return drive(F.unfold(given["input"], size, stride=size).mT[None], output.shape[1])


def read_dense(given: dict, output: Tensor) -> Drive:
    return drive(given["input"][None], output.shape[-1], given.get("live"))


def read_product(given: dict, output: Tensor) -> Drive:
    """q k^T, or its product with v, among live tokens: K K D each, driven by q, the first third of what the layer returns."""
    told = drive(output.chunk(3, dim=-1)[0][None], 1, given.get("live"))
    return replace(told, operations=told.inputs * told.tokens)


def drive(x: Tensor, fan_out: int, live: Tensor | None = None, timesteps: int | None = None) -> Drive:
    """Of inputs x [T, B, R, D] on the rows that are live [T, B, R] (None: all), each used `fan_out` times; where x is given
    once, [1, B, R, D], it is the same at all timesteps.
    """
    sums = x.ne(0).float().sum(dim=-1).double(), x.sum(dim=-1, dtype=torch.promote_types(x.dtype, torch.float32)).double()
    rows = torch.ones_like(sums[0]) if live is None else live.double()
    tokens, nonzero, total = ((value * rows).sum(dim=-1) for value in (torch.ones_like(rows), *sums))
    shape = (timesteps or len(x), x.shape[1])
    tokens, nonzero, total = (value.expand(shape).cpu().numpy() for value in (tokens, nonzero, total))
    inputs = tokens * x.shape[-1]
    return Drive(tokens, inputs, nonzero, total, inputs * fan_out)
