"""Which path a layer takes: a function of its inputs, its width and the instruction set."""

import re
from pathlib import Path

import pytest
import torch

from models import native
from models.native import build, event_driven, thresholds
from models.native.build import instruction_set

KINDS = {"linear": (48, 48), "convolution": (48, 48, 3, 3)}
pytestmark = pytest.mark.skipif(build.library()[0] is None, reason=native.describe())


@pytest.fixture
def half(monkeypatch):
    """At most half of the inputs, on an instruction set of its own."""
    monkeypatch.delenv("ATSNN_KERNELS", raising=False)
    monkeypatch.setattr(thresholds, "instruction_set", lambda: "a set")
    limits = {"positions": 100, "linear": (0.5, 0.6, 0.7), "linear gradient": (0.25, 0.35, 0.45)}
    limits |= {kind.replace("linear", "convolution"): shares for kind, shares in limits.items() if "linear" in kind}
    monkeypatch.setattr(thresholds, "LARGEST_SHARE", {("a set", "float32"): limits})


@pytest.mark.parametrize("shape", KINDS.values(), ids=KINDS)
def test_the_share_of_inputs_that_are_not_zero_decides(half, shape):
    weight = torch.empty(shape)
    assert thresholds.is_event_driven(0.0, 100, weight) and thresholds.is_event_driven(0.5, 100, weight)
    assert not thresholds.is_event_driven(0.501, 100, weight)
    assert thresholds.is_event_driven(0.25, 100, weight, gradient=True)
    assert not thresholds.is_event_driven(0.251, 100, weight, gradient=True)


@pytest.mark.parametrize("outputs, share", ((48, 0.5), (85, 0.5), (86, 0.6), (1365, 0.6), (1366, 0.7)))
def test_larger_layers_are_event_driven_up_to_larger_shares(half, outputs, share):
    for weight in (torch.empty(outputs, 48), torch.empty(outputs, 48, 3, 3)):
        assert thresholds.largest_share(100, weight) == share
    assert thresholds.largest_share(100, torch.empty(outputs, 48), gradient=True) == pytest.approx(share - 0.25)


def test_every_instruction_set_of_the_table_is_one_that_kernels_name():
    named = re.findall(r'INSTRUCTION_SET\[\] = "(.*)"', (Path(build.__file__).parent / "vectors.h").read_text(encoding="utf-8"))
    assert {name for name, _ in thresholds.LARGEST_SHARE} < set(named) and instruction_set() in named


def test_who_asks_for_a_path_gets_it_but_for_inputs_that_are_no_counts(half):
    weight = torch.empty(48, 48)
    assert thresholds.is_event_driven(1.0, 100, weight, "events") and not thresholds.is_event_driven(0.0, 100, weight, "dense")
    assert not thresholds.is_event_driven(None, 100, weight) and not thresholds.is_event_driven(None, 100, weight, "events")


def test_layers_of_few_positions_are_dense(half):
    assert thresholds.is_event_driven(0.1, 100, torch.empty(48, 48))
    assert not thresholds.is_event_driven(0.1, 99, torch.empty(48, 48))


def test_narrow_layers_other_dtypes_other_sets_and_who_says_dense_are_dense(half, monkeypatch):
    assert not thresholds.is_event_driven(0.1, 100, torch.empty(48, thresholds.NARROWEST - 1))
    assert not thresholds.is_event_driven(0.1, 100, torch.empty(thresholds.NARROWEST - 1, 48))
    assert not thresholds.is_event_driven(0.1, 100, torch.empty(48, 48, dtype=torch.float64))
    with monkeypatch.context() as patch:
        patch.setenv("ATSNN_KERNELS", "dense")
        assert not thresholds.is_event_driven(0.1, 100, torch.empty(48, 48))
    monkeypatch.setattr(thresholds, "instruction_set", lambda: "another set")
    assert not thresholds.is_event_driven(0.1, 100, torch.empty(48, 48))


def test_a_layer_computes_by_what_is_decided(half, monkeypatch):
    calls = []
    monkeypatch.setattr(event_driven, "call", lambda name, *rest: calls.append(name) or build.call(name, *rest))
    weight = torch.randn(48, 48, requires_grad=True)
    for share, expected in ((0.2, ["event_forward", "event_weight_gradient"]), (0.4, ["event_forward"]), (0.6, [])):
        calls.clear()
        x = (torch.arange(48) < share * 48).float().expand(100, 48)
        event_driven.linear(x, weight).sum().backward()
        assert [name for name in calls if name != "count_spikes"] == expected
