"""A slow, literal Spikingformer, and AT-SNN on it: the oracle beside tests/reference.py for the second backbone.

Written from the structure of the published network (github.com/zhouchenlin2096/Spikingformer, `cifar10/model.py`), tensors
by their published names. What knows no backbone (neurons, norms, Algorithm 1, halting) is that of tests/reference.py.
Everything is float64, evaluation mode, time outermost.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from reference import (
    TOKENS,
    _batch_norm,
    _choose_sources,
    _depth,
    _fresh_tokens,
    _halt,
    _head,
    _merge,
    _Neurons,
    _ponder_loss,
    _put_bn,
    _put_weight,
)


def _put_layer(state, layer, norm, shape, spread, rng, bias=True, **shift):
    _put_weight(state, layer, shape, rng)
    centre = 0.0
    if bias:
        centre = state[f"{layer}.bias"] = 0.3 * torch.randn(shape[0], generator=rng, dtype=torch.float64)
    _put_bn(state, norm, shape[0], spread, rng, centre=centre, **shift)


def random_official_spikingformer_state_dict(*, depth, width, classes, seed, blockwise_gain=None):
    """Random weights under the published names; layers fire at roughly 0.1-0.6 on N(0,1) images.

    What SSA and MLP add to the stream has norm shifts around 0, so that its neurons go on firing sometimes.
    `blockwise_gain` is added to channel 0 of each block's mlp2_bn.bias: channel 0 then grows by about as much per block, and
    tokens halt.
    """
    state, rng = {}, torch.Generator().manual_seed(seed)
    channels = (3, width // 8, width // 4, width // 2, width, width)
    for i, spread in enumerate((1.0, 0.2, 0.2, 0.25, 0.25)):
        layer = f"patch_embed.block{i}"
        _put_layer(state, f"{layer}_conv", f"{layer}_bn", (channels[i + 1], channels[i], 3, 3), spread, rng, bias=False)
    for i in range(depth):
        attn, mlp, around_0 = f"block.{i}.attn", f"block.{i}.mlp", {"shift": (-0.4, 0.4)}
        for name in "qkv":
            _put_layer(state, f"{attn}.{name}_conv", f"{attn}.{name}_bn", (width, width, 1), 0.2, rng, bias=False)
        _put_layer(state, f"{attn}.proj_conv", f"{attn}.proj_bn", (width, width, 1), 0.2, rng, **around_0)
        _put_layer(state, f"{mlp}.mlp1_conv", f"{mlp}.mlp1_bn", (4 * width, width, 1, 1), 0.2, rng)
        _put_layer(state, f"{mlp}.mlp2_conv", f"{mlp}.mlp2_bn", (width, 4 * width, 1, 1), 0.2, rng, **around_0)
        for name in ("norm1", "norm2"):  # never called
            state[f"block.{i}.{name}.weight"], state[f"block.{i}.{name}.bias"] = torch.full((2, width), 0.7).double()
        if blockwise_gain is not None:
            state[f"{mlp}.mlp2_bn.bias"][0] += blockwise_gain
    state["head.weight"] = torch.randn((classes, width), generator=rng, dtype=torch.float64) / width**0.5
    state["head.bias"] = 0.1 * torch.randn(classes, generator=rng, dtype=torch.float64)
    return state


def _tokens(state, neurons, x):
    """One timestep of patch splitting: [3,H,W] -> real-valued tokens [64,D] in row-major order."""
    # The published network (32 x 32) pools before its last two convolutions; for 64 x 64 it pools before the last three.
    pooled_before = {32: (3, 4), 64: (2, 3, 4)}[x.shape[-1]]
    for i in range(5):
        if i > 0:
            x = neurons.step(f"patch_embed.block{i}_lif", x)
        if i in pooled_before:
            x = F.max_pool2d(x[None], kernel_size=3, stride=2, padding=1)[0]
        x = F.conv2d(x[None], state[f"patch_embed.block{i}_conv.weight"].double(), padding=1)[0]
        x = _batch_norm(state, f"patch_embed.block{i}_bn", x, 0)
    return x.flatten(1).T.contiguous()


def _layer(state, layer, norm, x):
    """BN(convolution of kernel size 1) of rows [K, inputs]."""
    weight = state[f"{layer}.weight"].double()
    x = x @ weight.reshape(weight.shape[:2]).T
    if f"{layer}.bias" in state:
        x = x + state[f"{layer}.bias"].double()
    return _batch_norm(state, norm, x, 1)


def _silent(x, live):
    """Rows that are not live add nothing."""
    return x if live is None else torch.where(live[:, None], x, torch.zeros_like(x))


def _attention(state, neurons, name, u, live, heads):
    spikes = neurons.step(f"{name}.proj_lif", u, live)
    q, k, v = (
        neurons.step(f"{name}.{part}_lif", _layer(state, f"{name}.{part}_conv", f"{name}.{part}_bn", spikes), live)
        for part in "qkv"
    )
    size = u.shape[1] // heads
    cuts = [slice(head * size, (head + 1) * size) for head in range(heads)]
    attended = torch.cat([(q[:, cut] @ k[:, cut].T) @ v[:, cut] * 0.125 for cut in cuts], dim=1)
    spikes = neurons.step(f"{name}.attn_lif", attended, live, threshold=0.5)
    return _silent(_layer(state, f"{name}.proj_conv", f"{name}.proj_bn", spikes), live)


def _mlp(state, neurons, name, u, live):
    for part in ("mlp1", "mlp2"):
        spikes = neurons.step(f"{name}.{part}_lif", u, live)
        u = _layer(state, f"{name}.{part}_conv", f"{name}.{part}_bn", spikes)
    return _silent(u, live)


def _block(state, neurons, index, u, live, heads):
    """One timestep of one block on tokens u [K,D]; live None: all rows."""
    u = u + _attention(state, neurons, f"block.{index}.attn", u, live, heads)
    return u + _mlp(state, neurons, f"block.{index}.mlp", u, live)


def reference_spikingformer(state, image_BCHW, *, heads, timesteps):
    """Logits [B,C] as published: the head gets the mean over tokens and timesteps. And the firing rate of each layer."""
    logits, neurons = [], [_Neurons() for _ in image_BCHW]
    for image, own in zip(image_BCHW.double(), neurons, strict=True):
        feature = 0
        for _ in range(timesteps):
            u = _tokens(state, own, image)
            for index in range(_depth(state)):
                u = _block(state, own, index, u, None, heads)
            feature = feature + u.mean(0) / timesteps
        logits.append(_head(state, feature))
    return torch.stack(logits), _rates(neurons)


def _rates(neurons):
    return {k: sum(n.fired[k] for n in neurons) / max(sum(n.asked[k] for n in neurons), 1) for k in neurons[0].fired}


def reference_at_snn_on_spikingformer(
    state, image_BCHW, *, heads, timesteps, gamma, alpha=5.0, beta=-10.0, epsilon=0.01,
    axes="2d", reading="inclusive", partner="per_timestep", head_norm="tokens",
):  # fmt: skip
    """What `reference.reference_at_snn` gives, on this backbone."""
    options = SimpleNamespace(alpha=alpha, beta=beta, epsilon=epsilon, axes=axes, reading=reading, head_norm=head_norm)
    image_BCHW, depth, batch = image_BCHW.double(), _depth(state), len(image_BCHW)
    blank = torch.zeros(depth, timesteps, batch, TOKENS, dtype=torch.float64)
    trace = SimpleNamespace(executed=blank.bool(), score=blank, probability=blank.clone())
    trace.remainder, trace.halt_block = blank[0].clone(), blank[0].long()
    accumulator = torch.zeros(timesteps, batch, state["head.weight"].shape[1], dtype=torch.float64)
    neurons, sources = [_Neurons() for _ in range(batch)], {}
    for t in range(1, timesteps + 1):
        images = [_fresh_tokens(_tokens(state, own, image)) for own, image in zip(neurons, image_BCHW, strict=True)]
        for l in range(1, depth + 1):
            for b, tokens in enumerate(images):
                if t == 1:
                    sources[l, b] = _choose_sources(tokens, gamma)
                _merge(tokens, sources[l, b], partner)
                tokens.u = _block(state, neurons[b], l - 1, tokens.u, tokens.live, heads)
                _halt(tokens, trace, accumulator, l, t, b, options)
        trace.survivors = torch.tensor([tokens.position for tokens in images])
    logits = _head(state, accumulator)
    return SimpleNamespace(logits=logits, ponder_loss=_ponder_loss(trace), trace=trace, rates=_rates(neurons))
