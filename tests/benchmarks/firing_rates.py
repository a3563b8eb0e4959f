"""Networks for the bench whose layers fire as those of a trained one do: an event-driven product costs what its inputs fire.

Weights stay as they are drawn. From the first layer to the last, the norm takes the mean and the variance of what it is given for
noise images, and its bias, one number for all channels, is found by bisection: the one for which the share of the next layer's
inputs that are not zero is that of the published campaign (STATIC on CIFAR-10, `rate` in results/laptop/tables/energy.csv; its
Spikformer-4-48 stands for all widths). As mean and variance are those of the batch, training steps begin with the same rates.
What the campaign does not tell: v fires so that the neurons behind attention have their rate; behind the last layer is only the head,
so there the stream grows as in the block before. Trained channels differ from each other, these don't; only layers are alike.

Dimensions: T timesteps, B images, K tokens, D channels, H W height and width.
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.energy_taps import NUMBERS
from models.neuron import lif
from models.patch_splitting import POOLED_STAGES
from models.spikformer import Spikformer
from models.spiking_layers import ATTENTION_SCALE, ATTENTION_THRESHOLD, attention, max_pool
from pipeline.core.paths import ROOT
from pipeline.evaluation.energy import Account
from pipeline.evaluation.energy_layers import taps_of

PUBLISHED = ROOT / "results/laptop/tables/energy.csv"
EVALUATION = "cifar10_static"
IMAGES = 8
LARGEST_BIAS = 8.0  # deviations: no neuron or every neuron fires
BISECTIONS = 14
FOLDER = "ATSNN_BENCH_FOLDER"  # names a folder in which the processes of a bench find each other's settled weights


@cache
def published_rates() -> dict[tuple[int, str], float]:
    """Read the share of inputs that are not zero by block and layer; the stream behind the last block stands as one more `qkv`."""
    rows = pd.read_csv(PUBLISHED)
    rows = rows[rows.evaluation == EVALUATION]
    rates = {(int(row.block), row.layer): float(row.rate) for row in rows.itertuples()}
    last = max(block for block, _ in rates)
    rates[last + 1, "qkv"] = rates[last, "hidden"] + rates[last, "qkv"] - rates[last - 1, "hidden"]
    return rates


@cache
def settled_state(pool_first: bool = False, **sizes: int) -> dict[str, Tensor]:
    """Draw a Spikformer's weights and let its layers fire at the published rates; pool_first: as SpikingJelly's, before neurons."""
    file = Path(os.environ.get(FOLDER, ""), "-".join(map(str, (pool_first, *sizes.values()))))
    if FOLDER in os.environ and file.exists():
        return torch.load(file, weights_only=True)
    torch.manual_seed(0)
    network = Spikformer(**sizes).eval()
    size = network.sps.image_size
    settle(network, torch.randn(IMAGES, 3, size, size), pool_first)
    if FOLDER in os.environ:
        torch.save(network.state_dict(), file)
    return network.state_dict()


def settled(**sizes: int) -> Spikformer:
    """Build a Spikformer whose layers fire at the published rates."""
    network = Spikformer(**sizes)
    network.load_state_dict(settled_state(**sizes))
    return network


@torch.no_grad()
def settle(network: Spikformer, images: Tensor, pool_first: bool = False) -> None:
    """Set the norms of a network, layer after layer, for images [B, 3, S, S]."""
    rates, sps = published_rates(), network.sps
    x = images.permute(0, 2, 3, 1).contiguous()[None]
    next_layers = [*(f"conv{number}" for number in range(2, len(sps.stages) + 1)), "position"]
    for index, (stage, next_layer) in enumerate(zip(sps.stages, next_layers)):
        current = standardise(stage.convolve(x), stage.bn).expand(network.timesteps, *[-1] * 4)
        pooled = index in POOLED_STAGES[sps.image_size]
        if pooled and pool_first:
            current = max_pool(current)
        after = max_pool if pooled and not pool_first else lambda spikes: spikes
        x = fire(current, stage.bn.bias, rates[0, next_layer], after)
    current = standardise(sps.position.convolve(x), sps.position.bn)
    u = fire(current, sps.position.bn.bias, rates[1, "qkv"], lambda spikes: x + spikes).flatten(2, 3)
    for number, block in enumerate(network.blocks, start=1):
        u = settle_block(block, u, number)


def settle_block(block: nn.Module, u: Tensor, number: int) -> Tensor:
    """Set the norms of a block that is given tokens u [T, B, K, D]; return its output."""
    rates, heads, width = published_rates(), block.attention.heads, u.shape[-1]

    def attended(v: Tensor) -> Tensor:
        return lif(attention(torch.cat([q, k, v], dim=-1), heads), ATTENTION_THRESHOLD, ATTENTION_SCALE)

    qkv = block.attention.qkv
    q, k, v = standardise(qkv.linear(u), qkv.bn).split(width, dim=-1)
    q_bias, k_bias, v_bias = qkv.bn.bias.split(width)
    q, k = fire(q, q_bias, rates[number, "q_kv"]), fire(k, k_bias, rates[number, "kv"])
    x = fire(v, v_bias, rates[number, "projection"], attended)
    layers = (
        (block.attention.projection, "hidden", lambda spikes: u + spikes),
        (block.mlp.hidden, "output", lambda spikes: spikes),
    )
    for layer, next_layer, after in layers:
        x = fire(standardise(layer.linear(x), layer.bn), layer.bn.bias, rates[number, next_layer], after)
        u = x if next_layer == "hidden" else u
    output = block.mlp.output
    return fire(standardise(output.linear(x), output.bn), output.bn.bias, rates[number + 1, "qkv"], lambda spikes: u + spikes)


def standardise(current: Tensor, bn: nn.BatchNorm1d) -> Tensor:
    """Give a norm the mean and the variance of a current [..., D], and return the current that it makes of it without a bias."""
    rows = current.flatten(0, -2)
    bn.running_mean.copy_(rows.mean(0))
    bn.running_var.copy_(rows.var(0))
    bn.bias.zero_()
    return F.batch_norm(rows, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps).view(current.shape)


def fire(current: Tensor, bias: Tensor, rate: float, after: Callable[[Tensor], Tensor] = lambda spikes: spikes) -> Tensor:
    """Set the bias for which the share of elements of after(spikes) that are not zero is `rate`; return after(spikes)."""
    low, high = -LARGEST_BIAS, LARGEST_BIAS
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = nonzero(after(lif(current + middle))) < rate
        low, high = (middle, high) if below else (low, middle)
    bias.fill_(high)
    return after(lif(current + high))


def nonzero(x: Tensor) -> float:
    """Compute the share of elements that are not zero."""
    return x.ne(0).float().mean().item()


def into_spikingjelly(theirs: nn.Module, **sizes: int) -> None:
    """Give SpikingJelly's Spikformer the weights of ours, with norms that let its layers, which pool before neurons, fire as ours."""
    ours = Spikformer(**sizes)
    ours.load_state_dict(settled_state(pool_first=True, **sizes))
    convolutions = [*zip(ours.sps.stages, theirs.patch_embed.stages), (ours.sps.position, theirs.patch_embed.positional_encoding)]
    pairs = [(layer.conv, layer.bn, twin.conv_bn.block) for layer, twin in convolutions]
    for block, twin in zip(ours.blocks, theirs.blocks):
        layers = block.attention.qkv, block.attention.projection, block.mlp.hidden, block.mlp.output
        twins = twin.attn.qkv_conv_bn, twin.attn.proj_conv_bn, twin.mlp.fc1, twin.mlp.fc2
        pairs += [(layer.linear, layer.bn, other) for layer, other in zip(layers, twins)]
    with torch.no_grad():
        for layer, bn, twin in pairs:
            twin[0].weight.copy_(layer.weight.view(twin[0].weight.shape))
            twin[1].load_state_dict(bn.state_dict())
        theirs.head.load_state_dict(ours.head.state_dict())


@torch.no_grad()
def rates_of(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Measure the share of each layer's inputs that are not zero, by block and layer, in the mode that a network of ours is in."""
    taps = taps_of(network)
    account = Account(taps)
    with account.listening(network):
        network(images)
    account.close()
    spiking = {(tap.block, tap.name) for tap in taps if tap.inputs != NUMBERS}
    rows = [row for row in account.energy().layers if (row["block"], row["layer"]) in spiking]
    return {f"{row['block']} {row['layer']}": sum(row["rate"]) / len(row["rate"]) for row in rows}


@torch.no_grad()
def rates_of_spikingjelly(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Measure the same of SpikingJelly's network, but for its products of q, k and v, which are no layers."""
    rates: dict[str, float] = {}
    stages = network.patch_embed.stages
    layers = {f"0 conv{number}": stage.conv_bn.block[0] for number, stage in enumerate(stages, start=1) if number > 1}
    layers["0 position"] = network.patch_embed.positional_encoding.conv_bn.block[0]
    for number, block in enumerate(network.blocks, start=1):
        layers |= {f"{number} qkv": block.attn.qkv_conv_bn[0], f"{number} projection": block.attn.proj_conv_bn[0]}
        layers |= {f"{number} hidden": block.mlp.fc1[0], f"{number} output": block.mlp.fc2[0]}

    def reader(name: str) -> Callable:
        return lambda _, inputs: rates.update({name: nonzero(inputs[0])})

    handles = [layer.register_forward_pre_hook(reader(name)) for name, layer in layers.items()]
    network(images)
    for handle in handles:
        handle.remove()
    return rates
