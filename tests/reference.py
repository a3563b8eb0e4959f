"""A slow, literal reference of Spikformer and AT-SNN: the oracle that the fast code is tested against.

Written from the method page alone (its sections 1-4 and 6), without seeing any other implementation. Everything is
float64, evaluation mode, time outermost: every image walks through all blocks at t = 1, then at t = 2, and so on.
A line that starts with `# Corner:` says what was chosen where the page leaves something open.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F

BN_EPS, TOKENS = 1e-5, 64


def _put_bn(state, name, channels, spread, rng, shift=(0.7, 1.3), centre=0.0):
    """Random running statistics around the expected ones, so that the normalised current is about N(shift, 1.1)."""

    def uniform(low, high):
        return low + (high - low) * torch.rand(channels, generator=rng, dtype=torch.float64)

    state[f"{name}.weight"] = uniform(0.8, 1.4)
    state[f"{name}.bias"] = uniform(*shift)
    state[f"{name}.running_mean"] = centre + spread**0.5 * uniform(-0.3, 0.3)
    state[f"{name}.running_var"] = spread * uniform(0.7, 1.4)
    state[f"{name}.num_batches_tracked"] = torch.tensor(100)


def _put_weight(state, name, shape, rng):
    """Zero-sum rows of unit norm on average: the mean current then does not depend on how dense the input spikes are."""
    weight = torch.randn(shape, generator=rng, dtype=torch.float64)
    weight = weight - weight.mean(tuple(range(1, len(shape))), keepdim=True)
    state[f"{name}.weight"] = weight / weight[0].numel() ** 0.5


def _put_linear_bn(state, prefix, outputs, inputs, spread, rng, **shift):
    _put_weight(state, f"{prefix}_linear", (outputs, inputs), rng)
    state[f"{prefix}_linear.bias"] = 0.3 * torch.randn(outputs, generator=rng, dtype=torch.float64)
    _put_bn(state, f"{prefix}_bn", outputs, spread, rng, centre=state[f"{prefix}_linear.bias"], **shift)


def _put_conv_bn(state, kind, suffix, outputs, inputs, spread, rng):
    _put_weight(state, f"patch_embed.{kind}_conv{suffix}", (outputs, inputs, 3, 3), rng)
    _put_bn(state, f"patch_embed.{kind}_bn{suffix}", outputs, spread, rng)


def random_official_state_dict(*, depth, width, classes, seed, with_norms=True, blockwise_gain=None):
    """Random weights under the published names; layers fire at roughly 0.1-0.5 on N(0,1) images (attention at 0.07-0.65).

    `blockwise_gain` (a number, or one per block) is added to channel 0 of each block's fc2_bn.bias. With 4 and more that
    neuron fires at almost every timestep, so channel 0 grows by one or two per block and tokens halt early.
    `with_norms` only adds the unused LayerNorms: the other weights do not depend on it.
    """
    state, rng, norm_rng = {}, torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    channels = (3, width // 8, width // 4, width // 2, width)
    for i, spread in enumerate((1.0, 0.2, 0.2, 0.25)):
        _put_conv_bn(state, "proj", i or "", channels[i + 1], channels[i], spread, rng)
    _put_conv_bn(state, "rpe", "", width, width, 0.25, rng)
    for i in range(depth):
        block, spread = f"block.{i}", 0.5 + 0.35 * i  # the stream's variance grows by two spikes per block
        for name in "qkv":
            _put_linear_bn(state, f"{block}.attn.{name}", width, width, spread, rng, shift=(0.75, 1.35))
        _put_linear_bn(state, f"{block}.attn.proj", width, width, 0.2, rng)
        _put_linear_bn(state, f"{block}.mlp.fc1", 4 * width, width, spread + 0.2, rng)
        _put_linear_bn(state, f"{block}.mlp.fc2", width, 4 * width, 0.2, rng)
        for name in ("norm1", "norm2") if with_norms else ():
            state[f"{block}.{name}.weight"] = 1 + 0.1 * torch.randn(width, generator=norm_rng, dtype=torch.float64)
            state[f"{block}.{name}.bias"] = 0.1 * torch.randn(width, generator=norm_rng, dtype=torch.float64)
        if blockwise_gain is not None:
            gain = blockwise_gain[i] if hasattr(blockwise_gain, "__len__") else blockwise_gain
            state[f"{block}.mlp.fc2_bn.bias"][0] += gain
    state["head.weight"] = torch.randn((classes, width), generator=rng, dtype=torch.float64) / width**0.5
    state["head.bias"] = 0.1 * torch.randn(classes, generator=rng, dtype=torch.float64)
    return state


class _Neurons:
    """The membranes of every LIF layer of one image, by layer name, and how often each layer fired."""

    def __init__(self):
        self.membrane, self.fired, self.asked = {}, {}, {}

    def step(self, layer, current, live=None, threshold=1.0):
        """One timestep of one layer. A row that is not live receives zero current and emits nothing."""
        if live is not None:
            current = torch.where(live[:, None], current, torch.zeros_like(current))
        v = self.membrane.get(layer, torch.zeros_like(current))
        v = v + (current - v) / 2
        spike = v >= threshold
        self.membrane[layer] = torch.where(spike, torch.zeros_like(v), v)
        self.fired[layer] = self.fired.get(layer, 0) + int(spike.sum())
        self.asked[layer] = self.asked.get(layer, 0) + (spike.numel() if live is None else int(live.sum()) * spike.shape[1])
        return spike.double()


def _batch_norm(state, name, x, channel_axis):
    shape = [-1 if axis == channel_axis else 1 for axis in range(x.ndim)]
    mean, var = (state[f"{name}.running_{k}"].double().view(shape) for k in ("mean", "var"))
    return (x - mean) / torch.sqrt(var + BN_EPS) * state[f"{name}.weight"].view(shape) + state[f"{name}.bias"].view(shape)


def _linear_bn(state, prefix, x):
    x = x @ state[f"{prefix}_linear.weight"].double().T + state[f"{prefix}_linear.bias"].double()
    return _batch_norm(state, f"{prefix}_bn", x, 1)


def _conv_bn_lif(state, neurons, kind, suffix, x):
    x = F.conv2d(x[None], state[f"patch_embed.{kind}_conv{suffix}.weight"].double(), padding=1)[0]
    return neurons.step(f"patch_embed.{kind}{suffix}", _batch_norm(state, f"patch_embed.{kind}_bn{suffix}", x, 0))


def _patch_split(state, neurons, x):
    """One timestep of SPS: [3,H,W] -> tokens [64,D] in row-major order."""
    pooled_layers = {32: (2, 3), 64: (1, 2, 3)}[x.shape[-1]]
    for i in range(4):
        x = _conv_bn_lif(state, neurons, "proj", i or "", x)
        if i in pooled_layers:
            x = F.max_pool2d(x[None], kernel_size=3, stride=2, padding=1)[0]
    x = x + _conv_bn_lif(state, neurons, "rpe", "", x)
    return x.flatten(1).T.contiguous()


def _attention(state, neurons, prefix, u, live, heads):
    q, k, v = (neurons.step(f"{prefix}.{name}", _linear_bn(state, f"{prefix}.{name}", u), live) for name in "qkv")
    size = u.shape[1] // heads
    cuts = [slice(head * size, (head + 1) * size) for head in range(heads)]
    out = torch.cat([(q[:, cut] @ k[:, cut].T) * 0.125 @ v[:, cut] for cut in cuts], dim=1)
    out = neurons.step(f"{prefix}.attn", out, live, threshold=0.5)
    return neurons.step(f"{prefix}.proj", _linear_bn(state, f"{prefix}.proj", out), live)


def _block(state, neurons, index, u, live, heads):
    """One timestep of one block on token counts u [K,D]; live None: all rows."""
    u = u + _attention(state, neurons, f"block.{index}.attn", u, live, heads)
    mlp = f"block.{index}.mlp"
    hidden = neurons.step(f"{mlp}.fc1", _linear_bn(state, f"{mlp}.fc1", u), live)
    return u + neurons.step(f"{mlp}.fc2", _linear_bn(state, f"{mlp}.fc2", hidden), live)


def _head(state, feature):
    return feature @ state["head.weight"].double().T + state["head.bias"].double()


def _depth(state):
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith("block."))


def reference_spikformer(state, image_BCHW, *, heads, timesteps):
    """Logits [T,B,C] of the plain network."""
    image_BCHW = image_BCHW.double()
    neurons = [_Neurons() for _ in image_BCHW]
    logits = torch.zeros(timesteps, len(image_BCHW), len(state["head.bias"]), dtype=torch.float64)
    for t in range(timesteps):
        for b, image in enumerate(image_BCHW):
            u = _patch_split(state, neurons[b], image)
            for index in range(_depth(state)):
                u = _block(state, neurons[b], index, u, None, heads)
            logits[t, b] = _head(state, u.mean(0))
    return logits


def _fresh_tokens(u):
    ones = torch.ones(TOKENS, dtype=torch.float64)
    return SimpleNamespace(position=list(range(TOKENS)), u=u, n=ones, live=ones.bool())


def _similarity(tokens, i, j):
    """Signed square cosine of tokens i and j; -inf if j is halted at this timestep."""
    # Corner: a halted target is -inf even for a zero source, whose similarity to live targets is 0.
    if not tokens.live[j]:
        return -float("inf")
    dot = float(tokens.u[i] @ tokens.u[j])
    return dot * abs(dot) / max(float(tokens.u[i] @ tokens.u[i]) * float(tokens.u[j] @ tokens.u[j]), 1e-24)


def _best_target(tokens, i, odd):
    """(similarity, index) of the target most similar to token i; index None when every target is halted."""
    best, target = -float("inf"), None
    for j in odd:
        similarity = _similarity(tokens, i, j)
        if similarity > best:  # strictly: a tie stays with the lower index
            best, target = similarity, j
    return best, target


def _choose_sources(tokens, gamma):
    """At t = 1: {source: partner}, as indices among the survivors, highest similarity first, ties to the lower index."""
    count = len(tokens.position)
    even, odd = range(0, count, 2), range(1, count, 2)
    best = {i: _best_target(tokens, i, odd) for i in even}
    # Corner: halted tokens of A compete as sources with similarity 0; where all targets are halted all of A ties at -inf.
    order = sorted(even, key=lambda i: (-best[i][0], i))
    return {i: best[i][1] for i in order[: min(gamma, count // 2)]}


def _merge(tokens, sources, partner):
    """Join every source to its target at this timestep, then remove the sources from the image's tokens, in place."""
    odd = range(1, len(tokens.position), 2)
    # All targets are chosen before any sum grows.
    targets = dict(sources) if partner == "fixed" else {i: _best_target(tokens, i, odd)[1] for i in sources}
    for i, j in targets.items():
        # Corner: with `fixed`, a source that found every target halted at t = 1 has no partner: it is lost at every t.
        if j is not None and tokens.live[j]:
            tokens.u[j] += tokens.u[i]
            tokens.n[j] += tokens.n[i]
    keep = [i for i in range(len(tokens.position)) if i not in sources]
    tokens.position = [tokens.position[i] for i in keep]
    tokens.u, tokens.n, tokens.live = tokens.u[keep], tokens.n[keep], tokens.live[keep]


def _halting_sum(scores_LT, l, t, axes, reading):
    """H(l,t) of one token, l and t counted from 1; scores_LT holds 0 wherever the token was not executed."""

    def total(blocks):
        return float(scores_LT[:blocks, :t].sum() if axes == "2d" else scores_LT[:blocks, t - 1].sum())

    # Corner: H(0,t) = 0 for every axes and reading, also where earlier timesteps have already summed to something.
    if l == 0:
        return 0.0
    # Corner: `example` with axes 1d is S(l-1,t) + h(l,t) of one timestep, hence the same number as `inclusive`.
    return {"inclusive": total(l), "printed": total(l - 1), "example": total(l - 1) + float(scores_LT[l - 1, t - 1])}[reading]


def _halt(tokens, trace, accumulator, l, t, b, options):
    """Score, halt and accumulate (steps 3 to 6) the output of block l at timestep t, both counted from 1."""
    share = len(tokens.position) if options.head_norm == "tokens" else TOKENS
    for i, k in enumerate(tokens.position):
        if not tokens.live[i]:
            continue
        h = torch.sigmoid(options.alpha * tokens.u[i, 0] / tokens.n[i] + options.beta)
        trace.executed[l - 1, t - 1, b, k] = True
        trace.score[l - 1, t - 1, b, k] = h
        scores_LT = trace.score[:, :, b, k]
        halts = _halting_sum(scores_LT, l, t, options.axes, options.reading) >= 1 - options.epsilon or l == len(trace.score)
        p = 1 - _halting_sum(scores_LT, l - 1, t, options.axes, options.reading) if halts else h
        trace.probability[l - 1, t - 1, b, k] = p
        accumulator[t - 1, b] += p * tokens.u[i] / share
        if halts:
            # Corner: the remainder belongs to the halting block; a token merged away before it halts keeps 0.
            trace.halt_block[t - 1, b, k], trace.remainder[t - 1, b, k] = l, p
            tokens.u[i], tokens.n[i], tokens.live[i] = 0, 0, False


def _ponder_loss(trace):
    """Mean over timesteps, images and last survivors of t (N - 1) + 1 + r."""
    terms = []
    for t, (blocks, remainders) in enumerate(zip(trace.halt_block, trace.remainder, strict=True), start=1):
        for b, survivors in enumerate(trace.survivors.tolist()):
            terms += [t * (int(blocks[b, k]) - 1) + 1 + float(remainders[b, k]) for k in survivors]
    return sum(terms) / len(terms)


def reference_at_snn(
    state, image_BCHW, *, heads, timesteps, gamma, alpha=5.0, beta=-10.0, epsilon=0.01,
    axes="2d", reading="inclusive", partner="per_timestep", head_norm="tokens",
):  # fmt: skip
    """One AT-SNN pass: `logits` [T,B,C], `ponder_loss`, `trace` by original position, `rates` by layer (of live neurons)."""
    assert axes in ("2d", "1d") and partner in ("per_timestep", "fixed") and head_norm in ("tokens", "initial")
    assert reading in ("inclusive", "printed", "example")
    options = SimpleNamespace(alpha=alpha, beta=beta, epsilon=epsilon, axes=axes, reading=reading, head_norm=head_norm)
    image_BCHW, depth, batch = image_BCHW.double(), _depth(state), len(image_BCHW)
    per_token = torch.zeros(timesteps, batch, TOKENS, dtype=torch.float64)
    per_block = torch.zeros(depth, *per_token.shape, dtype=torch.float64)
    trace = SimpleNamespace(executed=per_block.bool(), score=per_block, probability=per_block.clone())
    trace.remainder, trace.halt_block = per_token, per_token.long()
    accumulator = torch.zeros(timesteps, batch, state["head.weight"].shape[1], dtype=torch.float64)
    neurons, sources = [_Neurons() for _ in range(batch)], {}
    for t in range(1, timesteps + 1):
        images = [_fresh_tokens(_patch_split(state, neurons[b], image_BCHW[b])) for b in range(batch)]
        for l in range(1, depth + 1):
            for b, tokens in enumerate(images):
                if t == 1:
                    sources[l, b] = _choose_sources(tokens, gamma)
                _merge(tokens, sources[l, b], partner)
                tokens.u = _block(state, neurons[b], l - 1, tokens.u, tokens.live, heads)
                _halt(tokens, trace, accumulator, l, t, b, options)
        trace.survivors = torch.tensor([tokens.position for tokens in images])
    rates = {k: sum(n.fired[k] for n in neurons) / max(sum(n.asked[k] for n in neurons), 1) for k in neurons[0].fired}
    return SimpleNamespace(logits=_head(state, accumulator), ponder_loss=_ponder_loss(trace), trace=trace, rates=rates)
