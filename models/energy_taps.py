"""Describe the multiplications of a pass as rows of the energy account, each a layer and the inputs that drive it in a call.

A backbone lists its rows (`models.backbone.Backbone.energy_taps`); `pipeline.evaluation.energy` hooks them and counts.
Dimensions: T timesteps, B batch, R tokens or positions, D channels of a token, H heads.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SPIKES, COUNTS, NUMBERS = "spikes", "counts", "numbers"  # kinds of a layer's inputs; with numbers every operation is a MAC


@dataclass(frozen=True)
class Drive:
    """Inputs and operations of a layer in one batch, float64 [T, B] each."""

    tokens: np.ndarray  # number of live tokens
    inputs: np.ndarray  # number of elements of all live tokens
    nonzero: np.ndarray  # number of inputs that are not 0
    total: np.ndarray  # sum of the inputs
    operations: np.ndarray  # number, those of zero inputs included


@dataclass(frozen=True, eq=False)
class EnergyTap:
    """One row of the energy account.

    read(arguments, output): makes the Drive of a call of `layer`, from its arguments by name and its output.
    weights: the layers whose parameters this row accounts for. within: the module whose argument `live` is used, for a layer
    that does not take `live` itself.
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
    """Tap a convolution `layer.conv` of stride 1, called with x [S, B, H, W, D] and, where x is given once, `timesteps`.

    Raises ValueError for another stride or groups, with which inputs are not used equally often.
    """
    if layer.conv.stride != (1, 1) or layer.conv.groups != 1:
        raise ValueError(f"conv_tap counts convolutions of stride 1 without groups, not {layer.conv}: write a tap for it")

    def read(arguments: dict, _) -> Drive:
        return drive(arguments["x"].flatten(2, 3), fan_out, timesteps=arguments.get("timesteps"))

    fan_out = layer.conv.weight[:, 0].numel()  # kernel x Cout: with stride 1 each input is used that often, padding included
    return EnergyTap("sps", 0, name, inputs, layer, read, (layer.conv,))


def linear_tap(module: str, block: int, name: str, layer: nn.Module, inputs: str) -> EnergyTap:
    """Tap a linear layer `layer.linear` on tokens, called with x [T, B, K, D] and `live`."""

    def read(arguments: dict, _) -> Drive:
        return drive(arguments["x"], layer.linear.out_features, arguments.get("live"))

    return EnergyTap(module, block, name, inputs, layer, read, (layer.linear,))


def attention_taps(block: int, qkv: nn.Module, heads: int) -> list[EnergyTap]:
    """Tap k^T v and q (k^T v) of the spikes that `qkv` returns side by side; each spike meets the D/H channels of its head."""

    def read(part: int) -> Callable[[dict, Tensor], Drive]:
        return lambda arguments, spikes: drive(spikes.chunk(3, dim=-1)[part], width // heads, arguments.get("live"))

    width = qkv.linear.out_features // 3
    return [EnergyTap("ssa", block, name, SPIKES, qkv, read(part)) for name, part in (("kv", 1), ("q_kv", 0))]


def head_tap(layer: nn.Linear) -> EnergyTap:
    """Tap the head, called with features [T, B, D]."""

    def read(arguments: dict, _) -> Drive:
        return drive(arguments["input"][:, :, None], layer.out_features)

    return EnergyTap("head", 0, "head", NUMBERS, layer, read, (layer,))


def read_patches(arguments: dict, output: Tensor) -> Drive:
    """Count for a convolution of [B, 3, S, S] whose stride is its kernel size: each pixel is in one patch, a patch is a token."""
    size = arguments["input"].shape[-1] // output.shape[-1]
    return drive(F.unfold(arguments["input"], size, stride=size).mT[None], output.shape[1])


def read_dense(arguments: dict, output: Tensor) -> Drive:
    """Count for a linear layer called with tokens [B, R, D] of the one timestep."""
    return drive(arguments["input"][None], output.shape[-1], arguments.get("live"))


def read_product(arguments: dict, output: Tensor) -> Drive:
    """Count for q k^T, or its product with v, among K live tokens: K K D each, driven by q, the first third of the output."""
    query = drive(output.chunk(3, dim=-1)[0][None], 1, arguments.get("live"))
    return replace(query, operations=query.inputs * query.tokens)


def drive(x: Tensor, fan_out: int, live: Tensor | None = None, timesteps: int | None = None) -> Drive:
    """Count inputs x [T, B, R, D] on live rows [T, B, R] (None: all) and their operations, `fan_out` each.

    Where x is given once, [1, B, R, D], it is the same at all `timesteps`.
    """
    row_sums = x.ne(0).float().sum(dim=-1).double(), x.sum(dim=-1, dtype=torch.promote_types(x.dtype, torch.float32)).double()
    mask = torch.ones_like(row_sums[0]) if live is None else live.double()
    tokens, nonzero, total = ((value * mask).sum(dim=-1) for value in (torch.ones_like(mask), *row_sums))
    shape = (timesteps or len(x), x.shape[1])
    tokens, nonzero, total = (value.expand(shape).cpu().numpy() for value in (tokens, nonzero, total))
    inputs = tokens * x.shape[-1]
    return Drive(tokens, inputs, nonzero, total, inputs * fan_out)
