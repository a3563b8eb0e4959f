"""Which layers of a network cost energy, and what drives each in a call: the rows of `pipeline.evaluation.energy`'s account.

Dimensions: T timesteps, B batch, R tokens or positions, D channels of a token, H heads.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.at_snn import ATSNN
from models.spikformer import network as spikformer
from models.spikformer.network import NormConv, NormLinear, SpikingTransformer
from models.spikingformer import network as spikingformer

MODULES = ("sps", "ssa", "mlp", "head", "matching")
SPIKES, COUNTS, NUMBERS = "spikes", "counts", "numbers"  # what a layer's inputs are; with numbers every operation is a MAC
STREAMS = {spikformer.Block: COUNTS, spikingformer.Block: SPIKES}  # what SSA and MLP read; the latter puts neurons first
ADDED = ("pos_embed", "cls_token", "reg_token")  # parameters that are only added to


@dataclass(frozen=True)
class Drive:
    """What drives a layer in one batch, float64 [T, B] each."""

    tokens: np.ndarray  # live ones
    inputs: np.ndarray  # of all live tokens
    nonzero: np.ndarray  # those that are not 0
    total: np.ndarray  # their sum
    operations: np.ndarray


@dataclass(frozen=True, eq=False)
class Tap:
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


def taps_of(network: nn.Module) -> list[Tap]:
    """Every row of a network's account, in its order. Raises ValueError where that leaves weights out."""
    backbone = network.backbone if isinstance(network, ATSNN) else network
    merging = network if isinstance(network, ATSNN) and network.gamma else None
    taps = spiking_taps(backbone, merging) if isinstance(backbone, SpikingTransformer) else vit_taps(backbone, merging)
    counted = {layer for tap in taps for layer in tap.weights}
    left = [
        name or type(module).__name__
        for name, module in network.named_modules()
        if module not in counted and any(p.ndim > 1 and own not in ADDED for own, p in module.named_parameters(recurse=False))
    ]
    if left:
        raise ValueError(
            f"these layers have weights and no energy: {', '.join(left)}; tell pipeline.evaluation.energy_layers how to count them"
        )
    return taps


def spiking_taps(backbone: SpikingTransformer, merging: ATSNN | None) -> list[Tap]:
    """A backbone of spikes: Spikformer, Spikingformer."""
    stages = enumerate(backbone.sps.stages, start=1)
    taps = [conv_tap(f"conv{i}", stage, SPIKES if i > 1 else NUMBERS) for i, stage in stages]
    taps += [conv_tap(name, layer, SPIKES) for name, layer in backbone.sps.named_children() if name != "stages"]
    for number, block in enumerate(backbone.blocks, start=1):
        if type(block) not in STREAMS:
            raise ValueError(
                f"no energy is known for a {type(block).__name__}: tell pipeline.evaluation.energy_layers what its layers read"
            )
        attention, mlp, stream = block.attention, block.mlp, STREAMS[type(block)]
        taps += match_taps(number, merging)
        taps.append(linear_tap("ssa", number, "qkv", attention.qkv, stream))
        taps += attention_taps(number, attention.qkv, attention.heads)
        taps.append(linear_tap("ssa", number, "projection", attention.projection, SPIKES))
        taps.append(linear_tap("mlp", number, "hidden", mlp.hidden, stream))
        taps.append(linear_tap("mlp", number, "output", mlp.output, SPIKES))
    return [*taps, head_tap(backbone.head)]


def vit_taps(backbone: nn.Module, merging: ATSNN | None) -> list[Tap]:
    """models.vit: no spikes, so every operation is a MAC; `ssa` is its attention, `sps` its patches."""
    from models.vit.network import ViT  # with timm, which takes seconds

    if not isinstance(backbone, ViT):
        raise ValueError(
            f"no energy is known for a {type(backbone).__name__}: tell pipeline.evaluation.energy_layers which layers it has"
        )
    taps = [Tap("sps", 0, "conv1", NUMBERS, backbone.patch_embed.proj, read_patches, (backbone.patch_embed.proj,))]
    for number, block in enumerate(backbone.blocks, start=1):
        layers = {("ssa", number, "qkv"): block.attn.qkv, ("ssa", number, "projection"): block.attn.proj}
        layers |= {("mlp", number, "hidden"): block.mlp.fc1, ("mlp", number, "output"): block.mlp.fc2}
        rows = [Tap(*where, NUMBERS, layer, read_dense, (layer,), block) for where, layer in layers.items()]
        products = [Tap("ssa", number, name, NUMBERS, block.attn.qkv, read_product, within=block) for name in ("qk", "qk_v")]
        taps += [*match_taps(number, merging), rows[0], *products, *rows[1:]]
    return [*taps, head_tap(backbone.head)]


def conv_tap(name: str, layer: NormConv, inputs: str) -> Tap:
    def read(given: dict, _) -> Drive:
        return drive(given["x"].flatten(2, 3), fan_out, timesteps=given.get("timesteps"))

    fan_out = layer.conv.weight[:, 0].numel()  # 9 x Cout: stride 1, so each input is used that often, padding included
    return Tap("sps", 0, name, inputs, layer, read, (layer.conv,))


def linear_tap(module: str, block: int, name: str, layer: NormLinear, inputs: str) -> Tap:
    def read(given: dict, _) -> Drive:
        return drive(given["x"], layer.linear.out_features, given.get("live"))

    return Tap(module, block, name, inputs, layer, read, (layer.linear,))


def attention_taps(block: int, qkv: NormLinear, heads: int) -> list[Tap]:
    """k^T v and q (k^T v), of the spikes that a layer returns side by side: each meets the D/H channels of its head."""

    def read(part: int) -> Callable[[dict, Tensor], Drive]:
        return lambda given, spikes: drive(spikes.chunk(3, dim=-1)[part], width // heads, given.get("live"))

    width = qkv.linear.out_features // 3
    return [Tap("ssa", block, name, SPIKES, qkv, read(part)) for name, part in (("kv", 1), ("q_kv", 0))]


def head_tap(layer: nn.Linear) -> Tap:
    def read(given: dict, _) -> Drive:
        return drive(given["input"][:, :, None], layer.out_features)

    return Tap("head", 0, "head", NUMBERS, layer, read, (layer,))


def match_taps(block: int, merging: ATSNN | None) -> list[Tap]:
    """What Algorithm 1 compares, and each of it with itself: live even tokens at t = 1, then live sources, with live odd ones."""

    def read(given: dict, _) -> Drive:
        u, live, position = given["tokens"].u, given["tokens"].live, given["tokens"].position
        source = (position[:, :, None] != given["left"][:, None]).all(dim=-1)
        compared = source.expand_as(live).clone()
        compared[0, :, 0::2] = True
        targets = torch.arange(u.shape[2], device=u.device) % 2 == 1
        ours, odd = ((live & which).sum(dim=-1).double().cpu().numpy() for which in (compared, targets))
        operations = (ours * odd + ours + odd) * u.shape[-1]
        if merging.partner == "fixed":
            operations[1:] = 0
        return replace(drive(u, 1, live), operations=operations)

    return [Tap("matching", block, "match", NUMBERS, merging, read)] if merging else []


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
