"""Energy counted by hand, in the open: 4.6 pJ per multiply-accumulate, 0.9 pJ per accumulate."""

import json

import numpy as np
import pytest
import torch
from reference import random_official_state_dict, reference_at_snn
from torch import nn

from models.at_snn import ATSNN
from models.convert import from_official_spikformer
from models.spikformer import Spikformer
from models.spikingformer import Spikingformer
from pipeline.evaluation.energy import CONVENTIONS, MODULES, at_stop, measure_energy, summary

HEADS, T = 2, 3
NEVER = {"alpha": 0.0, "beta": -200.0}  # no token halts before the last block
HALTING = {"depth": 2, "width": 16, "classes": 5, "seed": 0, "blockwise_gain": 1.0}
# Which neurons' firing rate in the reference is a layer's input rate: those between them and the layer do nothing but pass on.
SAME_RATE = {"q_kv": "attn.q", "kv": "attn.k", "projection": "attn.attn", "output": "mlp.fc1"}


def images(count=2, seed=0):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def backbone(depth=2, timesteps=T, **change):
    state = random_official_state_dict(**(HALTING | {"depth": depth} | change))
    return from_official_spikformer(state, heads=HEADS, timesteps=timesteps)


def energy_of(network, image=None, sizes=(2,), **place):
    image = images(sum(sizes)) if image is None else image
    batches = [(x, torch.zeros(len(x), dtype=torch.long)) for x in image.split(list(sizes))]
    return measure_energy(network, batches, device="cpu", **({"dtype": torch.float64} | place))


def row(energy, layer, block=0, module=None):
    (found,) = [x for x in energy.layers if (x["layer"], x["block"]) == (layer, block) and module in (None, x["module"])]
    return found


def total(energy, convention):
    return sum(sum(layer["pJ"][convention]) for layer in energy.layers)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-6)


def nonzero(x, t):
    return int((x[t] != 0).sum()) / 2  # images


@pytest.fixture(scope="module")
def static():
    return energy_of(backbone())


@pytest.fixture(scope="module")
def adaptive():
    return energy_of(ATSNN(backbone(), gamma=5))


def test_every_layer_of_a_plain_network_has_a_row_in_order_with_its_operations(static):
    block = [("ssa", "qkv", 64 * 16 * 48), ("ssa", "kv", 64 * 16 * 8), ("ssa", "q_kv", 64 * 16 * 8)]
    block += [("ssa", "projection", 64 * 16 * 16), ("mlp", "hidden", 64 * 16 * 64), ("mlp", "output", 64 * 64 * 16)]
    expected = [("sps", 0, "conv1", 9 * 3 * 2 * 32 * 32), ("sps", 0, "conv2", 9 * 2 * 4 * 32 * 32)]
    expected += [("sps", 0, "conv3", 9 * 4 * 8 * 32 * 32), ("sps", 0, "conv4", 9 * 8 * 16 * 16 * 16)]
    expected += [("sps", 0, "position", 9 * 16 * 16 * 8 * 8)]
    expected += [(module, number, name, count) for number in (1, 2) for module, name, count in block]
    expected += [("head", 0, "head", 16 * 5)]
    assert [(x["module"], x["block"], x["layer"], x["operations"][0]) for x in static.layers] == expected
    assert all(layer["operations"] == [layer["operations"][0]] * T for layer in static.layers)
    assert row(static, "conv2")["live_tokens"] == [1024] * T and row(static, "qkv", 2)["live_tokens"] == [64] * T


@torch.no_grad()
def test_a_plain_network_costs_what_its_non_zero_inputs_cost(static):
    """Every input that is not zero is used once per output channel that it reaches: counted here one timestep at a time."""
    network, image = backbone(), images().double()
    x = [image.permute(0, 2, 3, 1)[None]]
    for stage in network.sps.stages[:2]:
        x.append(stage(x[-1], T))
    u = network.embed(image)
    one = network.blocks[0]
    q, k, _ = one.attention.qkv(u).chunk(3, dim=-1)
    v = u + one.attention(u)
    hidden = one.mlp.hidden(v)
    for t in range(T):
        close(row(static, "conv1")["pJ"]["nonzero"][t], 4.6 * 55296)
        close(row(static, "conv2")["pJ"]["nonzero"][t], 0.9 * nonzero(x[1], t) * 9 * 4)
        close(row(static, "conv3")["pJ"]["nonzero"][t], 0.9 * nonzero(x[2], t) * 9 * 8)
        close(row(static, "qkv", 1)["pJ"]["nonzero"][t], 0.9 * nonzero(u, t) * 48)
        close(row(static, "qkv", 1)["pJ"]["count"][t], 0.9 * float(u[t].sum()) / 2 * 48)
        close(row(static, "qkv", 1)["pJ"]["mac"][t], 4.6 * 64 * 16 * 48)
        close(row(static, "kv", 1)["pJ"]["nonzero"][t], 0.9 * nonzero(k, t) * 8)
        close(row(static, "q_kv", 1)["pJ"]["nonzero"][t], 0.9 * nonzero(q, t) * 8)
        close(row(static, "hidden", 1)["pJ"]["nonzero"][t], 0.9 * nonzero(v, t) * 64)
        close(row(static, "hidden", 1)["pJ"]["count"][t], 0.9 * float(v[t].sum()) / 2 * 64)
        close(row(static, "output", 1)["pJ"]["mac"][t], 0.9 * nonzero(hidden, t) * 16)
        close(row(static, "head")["pJ"]["count"][t], 4.6 * 80)


@pytest.mark.parametrize(
    "gamma, options", [(5, {}), (25, {"axes": "1d"}), (5, {"partner": "fixed"}), (0, {"beta": -6.0}), (0, NEVER)]
)
def test_live_tokens_rates_and_matching_are_those_of_the_independent_implementation(gamma, options):
    told = energy_of(ATSNN(backbone(), gamma=gamma, **options))
    theirs = reference_at_snn(random_official_state_dict(**HALTING), images(), heads=HEADS, timesteps=T, gamma=gamma, **options)
    for layer in told.layers:
        if layer["module"] in ("ssa", "mlp"):
            executed = theirs.trace.executed[layer["block"] - 1]  # [T, B, K0]
            assert layer["live_tokens"] == (executed.sum(dim=(1, 2)) / 2).tolist(), layer["layer"]
    names = {("conv2", 0): "patch_embed.proj", ("conv3", 0): "patch_embed.proj1"}
    names |= {(ours, l): f"block.{l - 1}.{neuron}" for l in (1, 2) for ours, neuron in SAME_RATE.items()}
    for (ours, block), neuron in names.items():
        operations, rate = (np.array(row(told, ours, block)[key]) for key in ("operations", "rate"))
        assert abs((operations * rate).sum() / operations.sum() - theirs.rates[neuron]) < 1e-12, (ours, block)
    if not gamma:
        assert not any(layer["module"] == "matching" for layer in told.layers)
        return
    assert (theirs.trace.halt_block == 1).any(), "otherwise nothing is shown of tokens that halted before a match"
    fixed = options.get("partner") == "fixed"
    later = 0 if fixed else 4.6 * (gamma * 32 + gamma + 32) * 16  # the sources alone, found at t = 1
    assert row(told, "match", 1)["pJ"]["nonzero"] == pytest.approx([4.6 * (32 * 32 + 64) * 16] + [later] * (T - 1))
    for t in range(T):
        operations = 0
        for b in range(2):
            present = [k for k in range(64) if theirs.trace.executed[0, t, b, k]]  # block 1 computes all that its merge left
            live = [int(theirs.trace.halt_block[t, b, k]) != 1 for k in present]
            source = [k not in theirs.trace.survivors[b].tolist() for k in present]
            compared = [live[i] and i % 2 == 0 and (t == 0 or source[i]) for i in range(len(live))]
            targets = [live[j] and j % 2 == 1 for j in range(len(live))]
            if t == 0 or not fixed:
                operations += 16 * (sum(compared) + sum(targets))  # squared norms
                operations += 16 * sum(i and j for i in compared for j in targets)
        assert row(told, "match", 2)["operations"][t] == operations / 2
        close(row(told, "match", 2)["pJ"]["mac"][t], 4.6 * operations / 2)


def test_tokens_that_halt_at_once_cost_nothing_afterwards():
    told = energy_of(ATSNN(backbone(), gamma=5, beta=200.0))
    for layer in told.layers:
        if layer["block"] == 2:
            assert layer["operations"] == layer["live_tokens"] == layer["rate"] == layer["count"] == [0] * T
            assert all(values == [0] * T for values in layer["pJ"].values())
    assert row(told, "qkv", 1)["operations"] == [59 * 16 * 48] * T and row(told, "head")["operations"] == [80] * T


def test_merging_by_sums_saves_nothing_where_every_count_is_paid_for():
    plain, merged = (row(energy_of(ATSNN(backbone(), gamma=gamma, **NEVER)), "qkv", 1) for gamma in (0, 25))
    assert merged["pJ"]["count"] == plain["pJ"]["count"] and merged["live_tokens"] == [39] * T
    for convention in ("nonzero", "mac"):
        assert all(less < more for less, more in zip(merged["pJ"][convention], plain["pJ"][convention]))


def test_conventions_differ_only_where_counts_are_read(static, adaptive):
    for layer in [*static.layers, *adaptive.layers]:
        nonzero, count, mac = (np.array(layer["pJ"][name]) for name in CONVENTIONS)
        if layer["layer"] in ("qkv", "hidden"):
            assert (nonzero < count).all() and (nonzero < mac).all() and (np.array(layer["count"]) > layer["rate"]).all()
        else:
            assert (nonzero == count).all() and (nonzero == mac).all()


@pytest.mark.parametrize("gamma", (None, 5))
def test_images_add_up_to_the_layers_whatever_the_batches(gamma):
    network = backbone() if gamma is None else ATSNN(backbone(), gamma=gamma)
    told, whole = energy_of(network, sizes=(2, 1)), energy_of(network, sizes=(3,))
    assert told.images.shape == (3, 5, T, 3) and told.images.dtype == np.float32 and np.array_equal(told.images, whole.images)
    for c, convention in enumerate(CONVENTIONS):
        for m, module in enumerate(MODULES):
            layers = [layer["pJ"][convention] for layer in told.layers if layer["module"] == module]
            np.testing.assert_allclose(told.images[c, m].mean(axis=1), np.sum(layers or [[0.0] * T], axis=0), rtol=1e-6)
    for mine, theirs in zip(told.layers, whole.layers):
        close(mine["pJ"]["nonzero"], theirs["pJ"]["nonzero"])


@pytest.mark.parametrize("gamma", (None, 5))
def test_fewer_timesteps_are_the_first_ones_of_more(gamma):
    long, short = (backbone(timesteps=t) for t in (4, 2))
    long, short = (energy_of(ATSNN(x, gamma=gamma) if gamma else x) for x in (long, short))
    np.testing.assert_allclose(long.images[:, :, :2], short.images, rtol=1e-6)
    np.testing.assert_allclose(summary(long)["nonzero"][:2], summary(short)["nonzero"], rtol=1e-6)


def test_the_summary_is_in_microjoules_and_an_early_exit_pays_for_its_own_timesteps(adaptive):
    told = summary(adaptive)
    for name in CONVENTIONS:
        assert len(told[name]) == T and told[name] == sorted(told[name])
        assert told[name][-1] == pytest.approx(total(adaptive, name) / 1e6)
        assert at_stop(adaptive, np.array([T, T]))[name] == pytest.approx(told[name][-1])
    assert np.allclose(np.sum(list(told["modules"].values()), axis=0), told["nonzero"], rtol=1e-6)
    by_hand = (adaptive.images[2, :, :1, 0].sum() + adaptive.images[2, :, :3, 1].sum()) / 2 / 1e6
    assert at_stop(adaptive, np.array([1, 3]))["mac"] == pytest.approx(by_hand)
    assert json.loads(json.dumps(told)) == told and json.loads(json.dumps(adaptive.layers)) == adaptive.layers


def test_the_network_is_left_as_it_was_also_after_an_error():
    network = ATSNN(backbone(), gamma=5).train()
    energy_of(network)
    with pytest.raises(ValueError, match="this network takes"):
        energy_of(network, torch.zeros(2, 3, 16, 16))
    assert network.training and "merge" not in vars(network)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_layers_that_nobody_counts_are_refused():
    network = backbone()
    network.blocks[1].extra = nn.Linear(16, 16)
    with pytest.raises(ValueError, match=r"blocks\.1\.extra"):
        energy_of(network)
    network = backbone()
    network.blocks[1].mlp.forward = lambda x, live, bn_rows: x
    with pytest.raises(ValueError, match="never ran.*mlp 2 hidden, mlp 2 output"):
        energy_of(network)
    with pytest.raises(ValueError, match="Sequential"):
        energy_of(nn.Sequential(nn.Linear(3, 3)))


@pytest.mark.parametrize("gamma", (None, 5))
def test_float32_and_its_kernels_cost_what_float64_costs(gamma):
    network = backbone(seed=1) if gamma is None else ATSNN(backbone(seed=1), gamma=gamma)
    exact = energy_of(network)
    fast = energy_of(network.float(), dtype=torch.float32)
    for name in CONVENTIONS:  # a spike at the very threshold may flip, and what follows moves
        assert total(fast, name) == pytest.approx(total(exact, name), rel=0.02)
    assert [x["layer"] for x in fast.layers] == [x["layer"] for x in exact.layers]


@torch.no_grad()
def test_spikingformer_reads_spikes_so_that_all_conventions_agree():
    torch.manual_seed(0)
    network = Spikingformer(depth=2, width=16, heads=2, classes=5, timesteps=T).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.constant_(module.bias, 1.2)  # so that neurons fire
    told = energy_of(network)
    u = network.embed(images().double())
    spikes = network.blocks[0].attention.neuron(u)
    assert 0 < spikes.mean() < 1 and set(spikes.unique().tolist()) == {0, 1} and (u != u.round()).any()
    for t in range(T):
        close(row(told, "qkv", 1)["pJ"]["nonzero"][t], 0.9 * float(spikes[t].sum()) / 2 * 48)
    assert total(told, "nonzero") == total(told, "count") == total(told, "mac")
    assert row(told, "output", 0, "sps")["operations"] == [9 * 16 * 16 * 8 * 8] * T
    halting = energy_of(ATSNN(network, gamma=5, beta=-3.0))
    assert row(halting, "match", 2)["operations"][-1] < row(halting, "match", 1)["operations"][-1]


def test_a_vision_transformer_is_all_multiply_accumulates_among_live_tokens():
    from models.vit import ViT

    torch.manual_seed(0)
    network = ViT(depth=2, width=16, heads=2, classes=5).double().eval()
    told = energy_of(network)
    block = [("qkv", 64 * 16 * 48), ("qk", 64 * 64 * 16), ("qk_v", 64 * 64 * 16), ("projection", 64 * 16 * 16)]
    block += [("hidden", 64 * 16 * 64), ("output", 64 * 64 * 16)]
    expected = [(0, "conv1", 64 * 4 * 4 * 3 * 16), *((n, *x) for n in (1, 2) for x in block), (0, "head", 16 * 5)]
    assert [(x["block"], x["layer"], *x["operations"]) for x in told.layers] == expected
    for convention in CONVENTIONS:
        assert total(told, convention) == pytest.approx(4.6 * sum(count for *_, count in expected))
    halting = ATSNN(network, gamma=0, beta=0.5)
    with torch.no_grad():
        live = halting(images().double()).trace.executed[1, 0].sum(dim=1).tolist()
    found = energy_of(halting)
    assert 0 < min(live) < max(live) < 64 and row(found, "hidden", 2)["live_tokens"] == [sum(live) / 2]
    assert row(found, "hidden", 2)["operations"] == [sum(n * 16 * 64 for n in live) / 2]
    assert row(found, "qk", 2)["operations"] == row(found, "qk_v", 2)["operations"] == [sum(n * n * 16 for n in live) / 2]
    assert row(found, "hidden", 1) == row(told, "hidden", 1) and row(told, "conv1")["live_tokens"] == [64]


@torch.no_grad()
def test_spikingjelly_counts_the_same_where_it_defines_the_same():
    """Its counters look at each product that torch computes, and at whether all of a tensor's numbers are 0 or 1.

    Equal: linear layers, q (k^T v), and a convolution whose border is silent. Not: padding, which it leaves out and the
    published formulas count; k^T v, where it counts only pairs that both fired.
    """
    from spikingjelly.activation_based.op_counter import ACCounter, DispatchCounterMode, MACCounter

    def counted(function, *inputs):
        counters = ACCounter(), MACCounter()
        with DispatchCounterMode(list(counters)):
            function(*inputs)
        products = ("mm", "addmm", "bmm", "convolution")
        found = [counter.get_counts()["Global"].items() for counter in counters]
        return [sum(count for op, count in items if op.__name__.split(".")[0] in products) for items in found]

    network = Spikformer(depth=1, width=16, heads=2, timesteps=1).double().eval()
    random = torch.Generator().manual_seed(0)
    spikes = (torch.rand(1, 1, 64, 64, generator=random) < 0.3).double()
    output, hidden, conv = network.blocks[0].mlp.output, network.blocks[0].mlp.hidden, network.sps.position.conv
    assert counted(output.linear, spikes) == [int(spikes.sum()) * 16, 0]
    counts = torch.randint(0, 3, (1, 1, 64, 16), generator=random).double()
    assert counted(hidden.linear, counts) == [0, 64 * 16 * 64]  # multiply-accumulates, dense: the convention `mac`
    q, k, v = (torch.rand(3, 2, 64, 8, generator=random) < 0.5).double()
    assert counted(torch.matmul, q, k.mT @ v) == [int(q.sum()) * 8, 0]
    assert counted(torch.matmul, k.mT, v)[0] == int((k.mT @ v).sum()) < int(k.sum()) * 8
    x = (torch.rand(1, 16, 8, 8, generator=random) < 0.3).double()
    assert counted(conv, x)[0] < int(x.sum()) * 9 * 16
    x[:, :, [0, -1]] = x[:, :, :, [0, -1]] = 0
    assert counted(conv, x) == [int(x.sum()) * 9 * 16, 0]
