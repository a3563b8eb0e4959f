"""Each kernel against plain PyTorch: in float64 to 1e-12, which networks never ask for, and in the dtypes they do ask for."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F

from models import merging, native, neuron
from models.at_snn import ATSNN
from models.native import build, fused
from models.neuron import ALPHA
from models.spikformer import Spikformer, SpikingLinear

pytestmark = pytest.mark.skipif(build.library()[0] is None, reason=native.describe())

CHANNELS = (1, 3, 8, 17, 48, 64, 100, 192)
every = lambda *choices: list(itertools.product(*choices))  # noqa: E731
SHAPES = ((3, 7), (2, 8, 8), (1, 1, 5))  # 64 positions a image: rows of few channels are taken together


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def norm(channels, training=True, dtype=torch.float64):
    bn = torch.nn.BatchNorm1d(channels, momentum=0.3, dtype=dtype).train(training)
    bn.weight.data, bn.bias.data = (
        1 + 0.3 * randn(channels, seed=1, dtype=dtype),
        0.9 + 0.3 * randn(channels, seed=2, dtype=dtype),
    )
    bn.running_mean, bn.running_var = randn(channels, seed=3, dtype=dtype), 0.5 + randn(channels, seed=4, dtype=dtype).square()
    return bn


def run(function, above, *leaves):
    """What the function gives, and the gradients of its inputs."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    value = function(*leaves)
    value.backward(above)
    return value.detach(), [leaf.grad for leaf in leaves]


def close(ours, theirs, tolerance=1e-12):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training, masked, shared", every((False, True), (False, True), (False, True)))
@pytest.mark.parametrize("channels, shape", every(CHANNELS, SHAPES))
def test_norm_and_neuron_equal_plain_pytorch(channels, shape, training, masked, shared):
    """Where a row is not live nothing asks for its gradient here; the test after this one does."""
    timesteps = 1 + (channels + len(shape) + masked) % 5
    y, above = 2 * randn(1 if shared else timesteps, *shape, channels), randn(timesteps, *shape, channels, seed=5)
    live = randn(timesteps, *shape, seed=6) < 0.4 if masked else None
    above = above * live[..., None] if masked else above
    bias, bns = randn(channels, seed=7), (norm(channels, training), norm(channels, training))
    spikes, gradients = run(lambda y: fused.norm_lif(y, bns[0], timesteps, ALPHA, live=live, bias=bias), above, y)
    plain, expected = run(lambda y: neuron.norm_lif(y, bns[1], timesteps, live, bias), above, y)
    assert torch.equal(spikes, plain) and (plain.numel() < 60 or 0.05 < plain.mean() < 0.95)
    close(gradients + [p.grad for p in bns[0].parameters()], expected + [p.grad for p in bns[1].parameters()])
    close(bns[0].state_dict().values(), bns[1].state_dict().values())
    assert bns[0].num_batches_tracked == int(training)


def test_a_gradient_that_reaches_a_row_where_it_is_not_live_goes_where_plain_pytorch_sends_it():
    """In training it does: batch norm of the next layer sees all rows, and their gradients with it."""
    y, above, live = 0.9 + 0.3 * randn(2, 3, 7, 8), randn(2, 3, 7, 8, seed=5), torch.ones(2, 3, 7, dtype=torch.bool)
    live[1, :, 3:], above[0] = False, 0  # silent at t = 2, with a membrane left from t = 1
    _, ours = run(lambda y: fused.norm_lif(y, norm(8), 2, ALPHA, live=live), above, y)
    _, theirs = run(lambda y: neuron.norm_lif(y, norm(8), 2, live), above, y)
    close(ours, theirs)


@pytest.mark.parametrize("timesteps", (1, 2, 3, 4, 5))
def test_running_statistics_are_unbiased_and_count_copies_of_a_shared_current(timesteps):
    bn, y, bias = norm(5), randn(1, 6, 5), randn(5, seed=1)
    before = copy.deepcopy(bn)
    fused.norm_lif(y, bn, timesteps, ALPHA, bias=bias)
    copies = (y + bias).expand(timesteps, 6, 5).flatten(0, 1)
    close([bn.running_mean], [0.7 * before.running_mean + 0.3 * copies.mean(0)])
    close([bn.running_var], [0.7 * before.running_var + 0.3 * copies.var(0, correction=1)])


def test_in_evaluation_the_linear_bias_has_its_gradient():
    """A norm with running statistics takes nothing out: who trains with a frozen norm trains biases too."""
    layer, x, grads = SpikingLinear(8, 5).eval(), randn(2, 1, 6, 8, dtype=torch.float32).abs(), []
    for network in (layer, copy.deepcopy(layer).double()):
        network(x.to(network.linear.weight.dtype)).sum().backward()
        grads.append(network.linear.bias.grad)
    assert grads[1].abs().max() > 1e-3 and grads[0] is not None
    torch.testing.assert_close(grads[0].double(), grads[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", ((5,), (1, 7), (4, 3, 5, 17), (3, 64), (2, 5, 100)))
@pytest.mark.parametrize("threshold, scale", ((1.0, 1.0), (0.5, 0.125), (0.5, 1.0)))
def test_neuron_equals_plain_pytorch(shape, threshold, scale):
    current, above = (1 + 2 * randn(*shape)) / scale, randn(*shape, seed=1)
    spikes, gradient = run(lambda x: fused.lif(x, threshold, ALPHA, scale), above, current)
    plain, expected = run(lambda x: neuron.lif(x, threshold, scale), above, current)
    assert torch.equal(spikes, plain) and 0 < plain.mean() < 1
    close(gradient, expected)


@pytest.mark.parametrize("channels, masked", every((3, 16, 48, 100), (False, True)))
def test_two_calls_with_membranes_equal_one_call_and_leave_the_plain_membranes(channels, masked):
    y, bn, live = 2 * randn(5, 4, 8, channels), norm(channels, training=False), randn(5, 4, 8, seed=1) < 0.4
    now = lambda at: live[at] if masked else None  # noqa: E731
    ends = [torch.zeros(4, 8, channels).double() for _ in range(3)]
    whole = fused.norm_lif(y, bn, 5, ALPHA, live=now(slice(None)), membrane=ends[0])
    parts = [fused.norm_lif(y[at], bn, len(y[at]), ALPHA, live=now(at), membrane=ends[1]) for at in (slice(0, 2), slice(2, 5))]
    with torch.no_grad():
        plain = neuron.norm_lif(y, bn, 5, now(slice(None)), membrane=ends[2])
        without = fused.norm_lif(y, bn, 5, ALPHA, live=now(slice(None)))
    assert torch.equal(whole, torch.cat(parts)) and torch.equal(whole, plain) and torch.equal(whole, without)
    assert torch.equal(ends[0], ends[1]) and ends[0].abs().max() > 0.1
    close(ends[:1], ends[2:])


def test_neurons_without_norm_keep_membranes_too():
    current, ends = 4 * randn(4, 3, 6), [torch.zeros(3, 6).double() for _ in range(3)]
    parts = torch.cat([fused.lif(current[at], 0.5, ALPHA, 0.125, ends[0]) for at in (slice(0, 1), slice(1, 4))])
    assert torch.equal(parts, fused.lif(current, 0.5, ALPHA, 0.125, ends[1])) and torch.equal(ends[0], ends[1])
    assert torch.equal(parts, neuron.lif(current, 0.5, 0.125, ends[2])) and ends[0].abs().max() > 0.01
    close(ends[:1], ends[2:])


@pytest.mark.parametrize("channels, masked, training", every((8, 100), (False, True), (False, True)))
def test_any_number_of_threads_gives_the_same_spikes_and_each_the_same_bits_twice(channels, masked, training):
    y, above = 2 * randn(4, 3, 67, channels, dtype=torch.float32), randn(4, 3, 67, channels, seed=1, dtype=torch.float32)
    live, results = randn(4, 3, 67, seed=2) < 0.4 if masked else None, []
    try:
        for threads in (1, 2, 3, 1, 2, 3):
            torch.set_num_threads(threads)
            bn = norm(channels, training, torch.float32)
            spikes, gradient = run(lambda y, bn=bn: fused.norm_lif(y, bn, 4, ALPHA, live=live), above, y)
            results.append([spikes, *gradient, bn.weight.grad, bn.bias.grad, *bn.state_dict().values()])
    finally:
        torch.set_num_threads(1)
    for first, second in zip(results[:3], results[3:]):
        assert all(map(torch.equal, first, second)) and torch.equal(first[0], results[0][0])
        close(first, results[0], 1e-5)


def test_bfloat16_is_rounded_as_torch_rounds_it():
    """Every upper half of a float32 with the lower halves around a tie: subnormals, infinities and NaNs among them."""
    low = torch.tensor([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], dtype=torch.int32)
    value = ((torch.arange(-(2**15), 2**15, dtype=torch.int32) << 16)[:, None] + low).flatten().view(torch.float32)
    zeros, gradient = torch.zeros(len(value), dtype=torch.bfloat16), torch.zeros(len(value), dtype=torch.bfloat16)
    build.call("norm_backward", zeros, 1, len(value), -value, torch.zeros_like(value), gradient)
    expected = value.to(torch.bfloat16)
    assert expected.isnan().any() and expected.isinf().any()
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype, training", every((torch.bfloat16, torch.float32), (False, True)))
def test_what_is_not_a_number_gives_gradients_that_are_none(dtype, training):
    y, above = randn(3, 7, 20, dtype=dtype), randn(3, 7, 20, seed=1, dtype=dtype)
    y[1, 2, 4], above[2, 3, 18] = torch.nan, torch.nan
    _, (gradient,) = run(lambda y: fused.norm_lif(y, norm(20, training, torch.float32), 3, ALPHA), above, y)
    lost = gradient.isnan()
    if training:  # through the moments of the channel
        assert lost[:, :, [4, 18]].all() and lost.sum() == 2 * 21
    else:
        assert lost[1, 2, 4] and lost[2, 2, 4] and lost[2, 3, 18]
        assert lost.sum() == lost[:, 2, 4].sum() + lost[:, 3, 18].sum()


@pytest.mark.parametrize("dtype, channels", every((torch.bfloat16, torch.float32), (5, 48)))
@pytest.mark.parametrize("shared, masked", every((False, True), (False, True)))
def test_narrow_dtypes_are_as_near_to_float64_as_they_can_be(dtype, channels, shared, masked):
    y, above = 2 * randn(1 if shared else 4, 8, 64, channels, dtype=dtype), randn(4, 8, 64, channels, seed=1, dtype=dtype)
    live, wide, bns = randn(4, 8, 64, seed=2) < 0.4 if masked else None, norm(channels), norm(channels, dtype=torch.float32)
    above = above * live[..., None] if masked else above
    wide.load_state_dict(bns.state_dict())
    spikes, (gradient,) = run(lambda y: fused.norm_lif(y, bns, 4, ALPHA, live=live), above, y)
    exact, (expected,) = run(lambda y: neuron.norm_lif(y, wide, 4, live), above.double(), y.double())
    assert spikes.dtype == gradient.dtype == dtype and (spikes.double() != exact).double().mean() < 1e-4
    pairs = [(gradient, expected, 4e-3 if dtype == torch.bfloat16 else 1e-6)] + [
        (a.grad, b.grad, 1e-5) for a, b in zip(bns.parameters(), wide.parameters())
    ]
    for ours, theirs, bound in pairs + [(bns.running_var, wide.running_var, 1e-6), (bns.running_mean, wide.running_mean, 1e-6)]:
        assert (ours.double() - theirs).norm() < bound * theirs.norm()


@pytest.mark.parametrize("size", ((1, 1), (2, 3), (3, 2), (7, 5), (8, 8), (16, 9)))
@pytest.mark.parametrize("channels, levels", every((1, 3, 17, 48, 100), (1, 2, None)))
def test_pooling_equals_plain_pytorch_and_ties_go_to_the_first_maximum(size, channels, levels):
    x = randn(3, *size, channels) if levels is None else torch.where(randn(3, *size, channels) < 0, 0.0, levels - 1.0).double()
    plain = lambda x: F.max_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1).permute(0, 2, 3, 1)  # noqa: E731
    above = randn(*plain(x).shape, seed=1)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 2e-2)):  # torch adds in bfloat16
        ours, theirs = (run(pool, above.to(dtype), x.to(dtype)) for pool in (fused.MaxPool.apply, plain))
        assert torch.equal(ours[0], theirs[0])
        close(ours[1], theirs[1], tolerance)


SEGMENTS = ((0, 5, 5, 12, 13, 13, 30), (0, 0, 64, 64), (0, 1), (0, 0), (0, 7, 14, 21))


def attend(qkv, start, heads):
    """q (k^T v) of each segment and head, as printed: (q k^T) v."""
    q, k, v = qkv.unflatten(1, (3, heads, -1)).unbind(1)
    parts = [slice(a, b) for a, b in zip(start[:-1], start[1:])]
    return torch.cat([torch.einsum("ihd,jhd,jhe->ihe", q[at], k[at], v[at]) for at in parts]).flatten(1)


@pytest.mark.parametrize("start, heads, d", every(SEGMENTS, (1, 3), (1, 5, 8, 16, 17, 32, 64)))
def test_attention_equals_plain_pytorch_whatever_the_lengths_of_segments(start, heads, d):
    qkv, above, starts = randn(start[-1], 3 * heads * d), randn(start[-1], heads * d, seed=1), torch.tensor(start)
    ours = run(lambda x: fused.Attention.apply(x, starts, heads), above, qkv)
    theirs = run(lambda x: attend(x, start, heads), above, qkv)
    close([ours[0] / d, ours[1][0] / d], [theirs[0] / d, theirs[1][0] / d])
    spikes = (qkv > 0.3).double()
    for dtype in (torch.bfloat16, torch.float32):  # counts: exact, and rounded once
        assert torch.equal(fused.Attention.apply(spikes.to(dtype), starts, heads), attend(spikes, start, heads).to(dtype))
        narrow = run(lambda x: fused.Attention.apply(x, starts, heads), above.to(dtype), spikes.to(dtype))[1][0]
        exact = run(lambda x: attend(x, start, heads), above.to(dtype).double(), spikes)[1][0]
        assert (narrow.double() - exact).norm() <= (4e-3 if dtype == torch.bfloat16 else 1e-6) * exact.norm()


@pytest.mark.parametrize("tokens, channels", ((2, 1), (3, 17), (7, 5), (9, 384), (39, 48), (64, 100), (65, 64)))
@pytest.mark.parametrize("largest", (1, 9, 500, 60000, 2**21))
@pytest.mark.parametrize("step", (1.0, 0.5, -1.0))
def test_similarity_of_counts_has_the_bits_of_the_plain_one(tokens, channels, largest, step):
    token = step * torch.randint(0, largest + 1, (2, 3, tokens, channels), generator=torch.Generator().manual_seed(largest))
    token[0, 1, 1::3] = 0
    token[1, 2, : tokens // 2] = token[1, 2, :1]
    exact = merging.similarity(token[:, :, 0::2].double(), token[:, :, 1::2].double())
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(fused.similarity(token.to(dtype), merging.NORM_FLOOR), exact)


def test_backward_keeps_the_current_and_no_spikes():
    y, saved = randn(1, 6, 10, 48, dtype=torch.float32).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        spikes = fused.norm_lif(y, norm(48, dtype=torch.float32), 4, ALPHA)
        large = [x for x in saved if x.numel() > 48]
        assert len(large) == 1 and large[0].data_ptr() == y.data_ptr() and spikes.numel() == 4 * y.numel()
        saved.clear()
        fused.MaxPool.apply(spikes[0].reshape(6, 5, 2, 48))
        assert [x.dtype for x in saved] == [torch.uint8]


def step(network, image):
    """Spikes of every layer, gradients and running statistics of one training step."""
    spikes, layers = [], [m for m in network.modules() if hasattr(m, "bn")]
    hooks = [layer.register_forward_hook(lambda _, inputs, output: spikes.append(output.detach())) for layer in layers]
    output = network(image)
    (F.cross_entropy(output.logits.mean(0), torch.arange(len(image))) + getattr(output, "ponder_loss", 0)).backward()
    [hook.remove() for hook in hooks]
    return spikes, {name: p.grad for name, p in network.named_parameters()}, dict(network.named_buffers())


def both(monkeypatch, network, image):
    """The same step with kernels, in float64 too, and without."""
    plain = copy.deepcopy(network)
    monkeypatch.setattr(build, "SERVED", (*build.SERVED, torch.float64))
    ours = step(network, image)
    monkeypatch.setattr(native, "supports", lambda tensor: False)
    theirs = step(plain, image)
    monkeypatch.undo()
    return ours, theirs


def agree(ours, theirs, tolerance):
    largest = max(float(gradient.norm()) for gradient in theirs[1].values())
    for name, expected in theirs[1].items():
        if name.endswith("linear.bias"):
            rounding = [expected] + [gradient for gradient in (ours[1][name],) if gradient is not None]
            assert all(gradient.norm() < 1e-5 * largest for gradient in rounding)  # the norm takes it out
        else:
            assert (ours[1][name] - expected).norm() < tolerance * largest, name
    close(ours[2].values(), theirs[2].values(), tolerance)


@pytest.mark.parametrize("gamma", (None, 0, 5))
def test_a_training_step_in_float64_is_that_of_plain_pytorch(monkeypatch, gamma):
    torch.manual_seed(0)
    network = Spikformer(depth=3, width=48, heads=4).double()
    for block in network.blocks:  # channel 0 of every block's output fires, so that tokens halt
        block.mlp.output.bn.bias.data[0] += 4
    network = network if gamma is None else ATSNN(network, gamma=gamma)
    ours, theirs = both(monkeypatch, network, randn(3, 3, 32, 32))
    assert all(map(torch.equal, ours[0], theirs[0]))
    assert gamma is None or (ours[0][-1] == 0).all(-1).sum() > 100, "tokens must have halted for masks to mean anything"
    agree(ours, theirs, 1e-9)


def test_a_training_step_in_float32_is_that_of_plain_pytorch_where_no_spike_flips(monkeypatch):
    flips = []
    for seed in range(6):
        torch.manual_seed(seed)
        network, image = Spikformer(depth=2, width=48, heads=4), randn(3, 3, 32, 32, seed=seed, dtype=torch.float32)
        ours, theirs = both(monkeypatch, network, image)
        flips.append(sum(int((a != b).sum()) for a, b in zip(ours[0], theirs[0])) / sum(a.numel() for a in ours[0]))
        if not flips[-1]:
            agree(ours, theirs, 1e-4)
    assert 0.0 in flips and sum(flips) / len(flips) < 0.01
