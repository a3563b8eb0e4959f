"""Computing live tokens only changes no number: against the masked network, and by counting what is computed."""

import itertools

import pytest
import torch
from reference import random_official_state_dict, reference_at_snn
from reference_spikingformer import random_official_spikingformer_state_dict, reference_at_snn_on_spikingformer

from models import native
from models.at_snn import ATSNN
from models.convert import from_official_spikformer, from_official_spikingformer
from models.native import build, event_driven, fused
from models.neuron import wide
from models.packed import PackedATSNN

WITH_KERNELS = pytest.param(True, marks=pytest.mark.skipif(build.library()[0] is None, reason=native.describe()))
OPTIONS = (
    *({"gamma": g, "axes": a, "reading": r} for g, a, r in itertools.product((0, 5, 25), ("2d", "1d"), ("inclusive", "printed", "example"))),
    *({"gamma": 7, "axes": "1d", "partner": p, "head_norm": h} for p, h in itertools.product(("per_timestep", "fixed"), ("tokens", "initial"))),
    {"gamma": 25, "partner": "fixed"},
)  # fmt: skip


@pytest.fixture(params=(False, WITH_KERNELS), ids=("plain", "kernels"))
def served(request, monkeypatch):
    """float64 in plain PyTorch, as ever, and with the kernels, which networks never ask for in float64."""
    if request.param:
        fire = fused.fire
        monkeypatch.setattr(build, "SERVED", (*build.SERVED, torch.float64))
        # Constants that are float32 wherever networks ask for kernels
        monkeypatch.setattr(
            fused, "fire", lambda y, index, a, b, *rest: fire(y, index, a.to(wide(y).dtype), b.to(wide(y).dtype), *rest)
        )
    return request.param


def images(count=3, size=32, seed=0):
    return torch.randn(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def model(*, gain=1.5, seed=3, depth=4, size=32, timesteps=4, width=24, **options):
    state = random_official_state_dict(depth=depth, width=width, classes=7, seed=seed, blockwise_gain=gain)
    backbone = from_official_spikformer(state, heads=4, timesteps=timesteps, image_size=size)
    return ATSNN(backbone, **{"gamma": 5} | options).eval()


def spikingformer(*, gain=0.3, timesteps=4, size=32, **options):
    state = random_official_spikingformer_state_dict(depth=4, width=24, classes=7, seed=3, blockwise_gain=gain)
    backbone = from_official_spikingformer(state, heads=4, timesteps=timesteps, image_size=size)
    return ATSNN(backbone, **{"gamma": 5} | options).eval()


def masked(network, image):
    with torch.no_grad():
        return network(image)


def equal(ours, theirs, tolerance=1e-9):
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=tolerance)
    assert abs(ours.ponder_loss - theirs.ponder_loss) < tolerance
    for name in ("executed", "halt_block", "survivors"):
        assert torch.equal(getattr(ours.trace, name), getattr(theirs.trace, name)), name
    for name in ("remainder", "probability", "channel_0"):
        torch.testing.assert_close(getattr(ours.trace, name), getattr(theirs.trace, name), rtol=0, atol=tolerance)
    assert ours.trace.tokens == theirs.trace.tokens


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_masked_network(served, options):
    network, image = model(**options), images()
    theirs = masked(network, image)
    equal(PackedATSNN(network)(image, trace=True), theirs)
    halted = theirs.trace.executed.sum((1, 2, 3)) < torch.tensor(theirs.trace.tokens) * 4 * 3
    assert halted[2:].all() and theirs.logits.std(dim=1).min() > 1e-3, "tokens must have halted, and images must differ"


def test_equals_the_independent_implementation(served):
    state = random_official_state_dict(depth=3, width=24, classes=7, seed=3, blockwise_gain=1.5)
    network = ATSNN(from_official_spikformer(state, heads=4, timesteps=3), gamma=5, axes="1d")
    theirs = reference_at_snn(state, images(2), heads=4, timesteps=3, gamma=5, axes="1d")
    ours = PackedATSNN(network)(images(2), trace=True)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=1e-9)
    assert torch.equal(ours.trace.executed, theirs.trace.executed) and theirs.trace.executed[-1].double().mean() < 0.5


@pytest.mark.parametrize(
    "options",
    ({}, {"gamma": 0, "axes": "1d"}, {"gamma": 25, "reading": "printed"}, {"gamma": 7, "reading": "example", "partner": "fixed"}),
    ids=str,
)
def test_spikingformer_equals_the_masked_network_at_once_and_image_by_image_until_each_stops(served, options):
    network, image, at = spikingformer(**options), images(4), (4, 2, 9, 1)
    theirs = masked(network, image)
    equal(PackedATSNN(network)(image, trace=True), theirs)
    live = theirs.trace.executed.double().mean(dim=(1, 2, 3))
    assert 0 < live[-1] < 0.6 * live[0] and theirs.logits.std(dim=1).min() > 1e-3, "tokens must have halted, images must differ"
    early = PackedATSNN(network).until(image, stopping(at, []))
    expected = torch.stack([theirs.logits[:t, b].mean(0) for b, t in enumerate(early.timesteps)])
    assert early.timesteps.tolist() == [4, 2, 4, 1]
    torch.testing.assert_close(early.logits, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("change", ({"beta": 20.0}, {"alpha": 0.0, "beta": -200.0, "gamma": 0}), ids=str)
def test_spikingformer_equals_the_masked_network_where_all_or_nothing_halts(served, change):
    network, image = spikingformer(size=64, timesteps=2, **change), images(1, size=64)
    ours = PackedATSNN(network)(image, trace=True)
    equal(ours, masked(network, image))
    assert ours.trace.executed[1:].any() == ("alpha" in change)


def test_packed_spikingformer_equals_the_independent_implementation(served):
    state = random_official_spikingformer_state_dict(depth=4, width=24, classes=7, seed=3, blockwise_gain=0.3)
    theirs = reference_at_snn_on_spikingformer(state, images(2), heads=4, timesteps=3, gamma=5, axes="1d")
    ours = PackedATSNN(spikingformer(timesteps=3, axes="1d"))(images(2), trace=True)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=1e-9)
    assert torch.equal(ours.trace.executed, theirs.trace.executed) and theirs.trace.executed[-1].double().mean() < 0.5


@pytest.mark.parametrize("options", ({}, {"gamma": 0, "axes": "1d"}, {"beta": 20.0}), ids=str)
def test_spikingformer_never_computes_merged_and_halted_tokens(served, monkeypatch, options):
    network, image = spikingformer(**options), images()
    executed = masked(network, image).trace.executed
    counted = Counted(monkeypatch, network)
    PackedATSNN(network)(image)
    assert [counted.of(block) for block in network.backbone.blocks] == [[int(block.sum())] for block in executed]
    assert executed.double().mean() < 0.8


@pytest.mark.parametrize("gamma, axes", ((0, "2d"), (25, "1d")))
def test_equals_the_masked_network_on_large_images_and_on_one(served, gamma, axes):
    network, image = model(size=64, depth=2, timesteps=3, gamma=gamma, axes=axes), images(1, size=64)
    equal(PackedATSNN(network)(image, trace=True), masked(network, image))


@pytest.mark.parametrize(
    "change", ({"beta": 20.0}, {"beta": 20.0, "gamma": 25, "axes": "1d"}, {"beta": 20.0, "partner": "fixed"}), ids=str
)
def test_everything_may_halt_in_the_first_block_and_nothing_is_left(served, change):
    network, image = model(**change), images()
    ours = PackedATSNN(network)(image, trace=True)
    equal(ours, masked(network, image))
    assert ours.trace.executed[0].any() and not ours.trace.executed[1:].any() and ours.logits.isfinite().all()
    assert torch.equal(PackedATSNN(network).until(image, never).logits.isfinite(), torch.ones(3, 7, dtype=torch.bool))


def test_nothing_halts_and_nothing_merges(served):
    network, image = model(gamma=0, alpha=0.0, beta=-200.0), images()
    ours = PackedATSNN(network)(image, trace=True)
    assert ours.trace.executed.all()
    equal(ours, masked(network, image))


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
@pytest.mark.parametrize("gamma, low, high", ((0, 0.3, 0.7), (5, 0.3, 0.7), (25, 0.1, 0.3)))
def test_what_training_computes_in_gives_the_logits_of_the_masked_network_on_nearly_all_images(dtype, gamma, low, high):
    """Fewer rows may be added up in another order, and a spike at the threshold flips; most images see none of it."""
    network, image = model(gamma=gamma, axes="1d", width=48).float(), images(32).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        theirs, ours = masked(network, image), PackedATSNN(network)(image, trace=True)
    assert low < theirs.trace.executed.double().mean() < high
    assert theirs.logits.dtype == ours.logits.dtype == torch.float32
    assert (ours.logits == theirs.logits).all(2).all(0).double().mean() >= 0.9
    assert (ours.logits.mean(0).argmax(1) == theirs.logits.mean(0).argmax(1)).double().mean() >= 0.9


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_spikingformer_gives_the_logits_of_the_masked_network_on_nearly_all_images(dtype):
    """Its stream holds real numbers, whose last digits differ wherever sums are taken in another order."""
    network, image = spikingformer(axes="1d").float(), images(32).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        theirs, ours = masked(network, image), PackedATSNN(network)(image, trace=True)
    assert 0.3 < theirs.trace.executed.double().mean() < 0.7
    assert theirs.logits.dtype == ours.logits.dtype == torch.float32
    assert ((ours.logits - theirs.logits).abs().amax(dim=(0, 2)) < 1e-4).double().mean() >= 0.9


def never(mean):
    return torch.zeros(len(mean), dtype=torch.bool)


def stopping(at, asked):
    """Stops image b at timestep at[b], and notes which images it was asked about, and what it was told."""
    running = torch.arange(len(at))

    def stops(mean):
        nonlocal running
        assert len(mean) == len(running), "asked about images that have stopped"
        asked.append((running, mean.clone()))
        now = torch.tensor(at)[running] == len(asked)
        running = running[~now]
        return now

    return stops


PATTERNS = ((1, 2, 3, 4), (4, 3, 2, 1), (1, 1, 1, 1), (2, 2, 2, 2), (9, 9, 9, 9), (3, 1, 9, 1), (2,), (9,))
EARLY = (
    {"axes": "1d"},
    {"gamma": 0},
    {"gamma": 25, "partner": "fixed", "axes": "1d"},
    {"reading": "example"},
    {"reading": "printed"},
)


@pytest.mark.parametrize("at, options", list(zip(PATTERNS, itertools.cycle(EARLY))), ids=str)
def test_images_leave_when_told_with_the_mean_of_the_masked_networks_logits(served, options, at):
    network, image, asked = model(**options), images(len(at)), []
    logits = masked(network, image).logits
    ours = PackedATSNN(network).until(image, stopping(at, asked))
    last = torch.tensor(at).clamp_max(4)
    assert ours.timesteps.tolist() == last.tolist() and len(asked) == last.max()
    expected = torch.stack([logits[:t, b].mean(0) for b, t in enumerate(last)])
    torch.testing.assert_close(ours.logits, expected, rtol=0, atol=1e-9)
    for t, (running, mean) in enumerate(asked, start=1):
        assert running.tolist() == [b for b, stop in enumerate(at) if stop >= t]
        torch.testing.assert_close(mean, logits[:t, running].mean(0), rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", OPTIONS[1:18:3], ids=str)
def test_timestep_after_timestep_equals_all_at_once(served, options):
    network, image = model(**options), images()
    ours = PackedATSNN(network).until(image, never)
    torch.testing.assert_close(ours.logits, masked(network, image).logits.mean(0), rtol=0, atol=1e-9)


def test_stopping_in_bfloat16_gives_the_logits_of_all_timesteps_on_nearly_all_images():
    network, image = model(axes="1d").float(), images(32).float()
    at = [1 + b % 4 for b in range(32)]
    with torch.autocast("cpu", torch.bfloat16):
        logits, ours = masked(network, image).logits, PackedATSNN(network).until(image, stopping(at, []))
    expected = torch.stack([logits[:t, b].mean(0) for b, t in enumerate(at)])
    assert ours.timesteps.tolist() == at and ((ours.logits - expected).abs().amax(1) < 1e-5).double().mean() >= 0.9


class Counted:
    """Rows that each linear layer was given, and images that each convolution was given, call after call."""

    def __init__(self, monkeypatch, network):
        self.network, self.rows, self.images = network, {}, []

        def counted(compute, count, plain):
            return lambda first, second: count(first, second, plain) or compute(first, second)

        def count_rows(first, second, plain):
            x, weight = (second, first.weight) if plain else (first, second)
            self.rows.setdefault(id(weight), []).append(x.shape[:-1].numel())

        def count_images(first, second, plain):
            self.images.append(len(second) if plain else first.shape[:2].numel())

        monkeypatch.setattr(torch.nn.Linear, "forward", counted(torch.nn.Linear.forward, count_rows, True))
        monkeypatch.setattr(event_driven, "linear", counted(event_driven.linear, count_rows, False))
        monkeypatch.setattr(torch.nn.Conv2d, "forward", counted(torch.nn.Conv2d.forward, count_images, True))
        monkeypatch.setattr(event_driven, "convolve", counted(event_driven.convolve, count_images, False))

    def of(self, block):
        """Rows by call, which all layers of a block must agree about."""
        layers = block.attention.qkv, block.attention.projection, block.mlp.hidden, block.mlp.output
        first, *others = [self.rows.pop(id(layer.linear.weight)) for layer in layers]
        assert others == [first] * 3
        return first


@pytest.mark.parametrize("options", ({}, {"gamma": 0}, {"gamma": 25, "axes": "1d"}, {"beta": 20.0}), ids=str)
def test_merged_and_halted_tokens_are_never_computed(served, monkeypatch, options):
    network, image = model(**options), images()
    executed = masked(network, image).trace.executed
    counted = Counted(monkeypatch, network)
    PackedATSNN(network)(image)
    assert [counted.of(block) for block in network.backbone.blocks] == [[int(block.sum())] for block in executed]
    assert list(counted.rows) == [id(network.backbone.head.weight)], "nothing but the head is left"
    assert executed.double().mean() < 0.8


@pytest.mark.parametrize("at", PATTERNS[::2], ids=str)
def test_images_that_stopped_are_never_computed(served, monkeypatch, at):
    network, image = model(axes="1d"), images(len(at))
    executed = masked(network, image).trace.executed
    counted = Counted(monkeypatch, network)
    PackedATSNN(network).until(image, stopping(at, []))
    running = [[b for b, stop in enumerate(at) if stop >= t] for t in range(1, 1 + min(4, max(at)))]
    for l, block in enumerate(network.backbone.blocks):
        assert counted.of(block) == [int(executed[l, t, now].sum()) for t, now in enumerate(running)]
    assert counted.images == [len(now) for now in running for _ in range(5)]


@pytest.mark.parametrize("backbone", (model, spikingformer))
def test_a_token_that_lives_again_has_kept_the_membrane_that_decayed(served, backbone):
    """In 1d a token may halt at t = 2 and compute at t = 3: its state is that of t = 1, halved once. Forgetting it, or
    leaving it whole, would show in the spikes."""
    network, image = backbone(gamma=0, axes="1d", timesteps=5), images(4)
    theirs = masked(network, image)
    executed = theirs.trace.executed
    assert (executed[:, :-2] & ~executed[:, 1:-1] & executed[:, 2:]).sum() > 20
    torch.testing.assert_close(PackedATSNN(network)(image).logits, theirs.logits, rtol=0, atol=1e-9)
    torch.testing.assert_close(PackedATSNN(network).until(image, never).logits, theirs.logits.mean(0), rtol=0, atol=1e-9)


def test_a_trace_is_made_only_when_asked_for():
    network = PackedATSNN(model())
    assert network(images(1)).trace is None and network(images(1), trace=True).trace.executed.shape == (4, 4, 1, 64)


def test_it_evaluates_without_gradient_whatever_mode_the_model_was_left_in(served):
    network, image = model(), images()
    expected, before = masked(network, image).logits, {name: x.clone() for name, x in network.state_dict().items()}
    fast = PackedATSNN(network.train())
    assert not network.training
    for run in (lambda: fast(image).logits, lambda: fast.until(image, never).logits):
        network.train()
        logits = run()
        assert not logits.requires_grad
        torch.testing.assert_close(logits, expected if logits.ndim == 3 else expected.mean(0), rtol=0, atol=1e-9)
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())


def test_it_shares_the_weights_of_its_model():
    network = model()
    fast = PackedATSNN(network)
    before = fast(images(1)).logits
    network.backbone.head.bias.data += 1
    torch.testing.assert_close(fast(images(1)).logits, before + 1)
