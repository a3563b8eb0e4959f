"""Figures that measure networks, against the same computed once more, image by image and token by token."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from reference import random_official_state_dict

from models.convert import from_official_spikformer
from models.spikingformer import Spikingformer
from models.vit import ViT
from pipeline.command_line import CATALOGUE
from pipeline.core.randomness import generator
from pipeline.data.prepared import Split
from pipeline.evaluation.subject import Subject
from pipeline.reporting.drawing import campaign_results
from pipeline.reporting.drawing.missing_data import MissingData
from pipeline.reporting.figures import accuracy_by_block_and_timestep, block_similarity, gamma_epsilon, halting_onset, masking

IMAGES, T, CLASSES = 24, 3, 5


class Data:
    meta = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}

    def __init__(self, labels=None):
        random = np.random.default_rng(3)
        self.images = random.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
        self.labels = random.integers(0, CLASSES, IMAGES) if labels is None else labels

    def split(self, name):
        return Split(self.images, self.labels, None)


def spikformer(timesteps=T, depth=3):
    state = random_official_state_dict(depth=depth, width=16, classes=CLASSES, seed=2, blockwise_gain=1.0)
    return from_official_spikformer(state, heads=2, timesteps=timesteps)


def subject(backbone, labels=None, **options):
    run = SimpleNamespace(method="at_snn" if options else "static", seed=4, options=options)
    evaluation = SimpleNamespace(run=run, options=options)
    return Subject(evaluation, backbone.double().eval(), Data(labels), torch.device("cpu"), torch.float64, nullcontext, CATALOGUE)


def pixels(of):
    (images, labels), *_ = of.batches()
    return images.double(), labels


def right(logits, labels):
    """Accuracy in percent of the mean of logits [T, N, C]."""
    return 100 * np.mean([int(logits[:, n].mean(0).argmax()) == int(label) for n, label in enumerate(labels)])


@pytest.mark.parametrize("make", [spikformer, lambda: Spikingformer(depth=2, width=16, heads=2, classes=CLASSES, timesteps=T)])
@torch.no_grad()
def test_accuracy_by_block_ends_with_the_network_and_by_timestep_too(make):
    torch.manual_seed(0)
    of = subject(make())
    told = accuracy_by_block_and_timestep.measure(of, accuracy_by_block_and_timestep.Settings())
    images, labels = pixels(of)
    logits = of.backbone(images).logits
    assert told["images"] == IMAGES
    assert told["accuracy_by_timestep"] == pytest.approx([right(logits[:t], labels) for t in range(1, T + 1)])
    assert told["accuracy_by_block"][-1] == told["accuracy_by_timestep"][-1] == of.measure(of.backbone).summary()["accuracy"]
    u, found = of.backbone.embed(images), []
    for block in (*of.backbone.blocks, None):
        found.append(right(torch.stack([of.backbone.head(x.mean(1)) for x in u]), labels))
        u = u if block is None else block(u)
    assert told["accuracy_by_block"] == pytest.approx(found)


@torch.no_grad()
def test_similarity_is_that_of_every_token():
    of = subject(spikformer())
    told = block_similarity.measure(of, block_similarity.Settings())
    inputs = [of.backbone.embed(pixels(of)[0])]
    for block in of.backbone.blocks[:-1]:
        inputs.append(block(inputs[-1]))
    assert told["accuracy"] == of.measure(of.backbone).summary()["accuracy"]
    assert np.shape(told["error"]) == np.shape(told["cosine"]) == np.shape(told["left_out"]) == (2, T)
    for l, (old, new) in enumerate(zip(inputs[:-1], inputs[1:])):
        for t in range(T):
            pairs = [(a, b) for n in range(IMAGES) for a, b in zip(old[t, n].numpy(), new[t, n].numpy())]
            known = [(a, b) for a, b in pairs if a.any() and b.any()]
            error = np.mean([np.linalg.norm(b - a) / np.linalg.norm(b) for a, b in known])
            cosine = np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in known])
            assert told["error"][l][t] == pytest.approx(error, abs=1e-12) and told["cosine"][l][t] == pytest.approx(
                cosine, abs=1e-12
            )
            assert told["left_out"][l][t] == pytest.approx(1 - len(known) / len(pairs), abs=1e-12)


def test_equal_inputs_have_no_error_and_zero_ones_are_left_out():
    backbone = ViT(depth=3, width=16, heads=2, classes=CLASSES).double().eval()
    backbone.blocks[0].forward = lambda u: u  # the second input is the first
    backbone.blocks[1].forward = torch.zeros_like
    with torch.no_grad():
        told = block_similarity.measure(subject(backbone), block_similarity.Settings(images=4))
    assert told["error"][0] == [0] and told["cosine"][0] == [pytest.approx(1, abs=1e-12)] and told["left_out"][0] == [0]
    assert told["error"][1] == told["cosine"][1] == [None] and told["left_out"][1] == [1]


def declared(name, depth, **more):
    run = {"label": name, "id": name, "data": SimpleNamespace(name="shapes"), "architecture": "X", "network": {"depth": depth}}
    return SimpleNamespace(name=name, id=name, run=SimpleNamespace(**run | {"options": more.pop("options", {})}), **more)


def test_similarity_of_one_block_is_missing_and_of_no_token_is_a_gap(monkeypatch):
    with pytest.raises(MissingData, match="one block"):
        block_similarity.draw(SimpleNamespace(catalogue=CATALOGUE), [declared("single", 1)])
    told = {"error": [[None, 0.5]], "cosine": [[None, 0.9]], "left_out": [[1.0, 0.0]], "accuracy": 50.0}
    monkeypatch.setattr(campaign_results, "metrics_of", lambda *_: told)
    _, numbers = block_similarity.draw(SimpleNamespace(catalogue=CATALOGUE), [declared("double", 2)])
    assert numbers["networks"][0]["error"] == {"by_timestep": [[None, 0.5]], "mean": [0.5], "std": None}


def literal(of, count, draw, kind):
    """Accuracy with masked tokens, one image and one block after another."""
    images, labels = pixels(of)
    found = []
    for n in range(IMAGES):
        u = of.backbone.embed(images[n : n + 1]).clone()
        live = torch.ones(u.shape[:3], dtype=torch.bool)
        for t in range(len(u)):
            order = generator(4, "masking", draw, n, 1 if kind == "tam" else t + 1).permutation(64)
            live[t, 0, np.flatnonzero(order < count)] = False
        u[~live] = 0
        for block in of.backbone.blocks:
            u = block(u, live)
            assert not u[~live].any()
        found.append(of.backbone.head(u[:, 0].sum(1) / 64))
    return right(torch.stack(found, dim=1), labels)


@torch.no_grad()
def test_masking_is_that_of_every_image_in_turn():
    backbone = spikformer(depth=2)
    of = subject(backbone)
    logits = of.measure(backbone).means[-1]
    backbone.head.bias -= torch.from_numpy(logits.mean(0))  # or one class is all it predicts
    of = subject(backbone, (logits - logits.mean(0)).argmax(-1))  # whatever a mask changes is a fault
    told = masking.measure(of, masking.Settings.model_construct(masked=(0, 1, 2, 64), draws=5, images=None))
    assert told["unmasked"] == 100 and told["tam"][0] == told["rm"][0] == [100] * 5
    assert told["tam"][1] != told["rm"][1] and told["tam"][2] != told["rm"][2] and len(set(told["rm"][2])) > 1
    for kind in ("tam", "rm"):
        for place, count, draw in ((1, 1, 2), (2, 2, 1), (2, 2, 4)):
            assert told[kind][place][draw] == pytest.approx(literal(of, count, draw, kind))
    bias = right(of.backbone.head.bias.expand(T, IMAGES, -1), pixels(of)[1])
    assert told["tam"][3] == told["rm"][3] == [pytest.approx(bias)] * 5


def test_positions_do_not_depend_on_the_batch_and_fewer_are_among_the_more():
    whole = masking.rank(4, 1, 0, (T, 6, 64))
    assert np.array_equal(masking.rank(4, 1, 4, (T, 2, 64)), whole[:, 4:])
    assert np.array_equal(np.sort(whole, axis=2), np.broadcast_to(np.arange(64), whole.shape))
    others = [whole[1], masking.rank(4, 2, 0, (T, 6, 64))[0], masking.rank(5, 1, 0, (T, 6, 64))[0], np.roll(whole[0], 1, axis=0)]
    assert all((whole[0] != other).mean() > 0.9 for other in others)


@torch.no_grad()
def test_both_maskings_are_one_at_one_timestep():
    told = masking.measure(subject(spikformer(timesteps=1, depth=2)), masking.Settings(masked=(16, 40)))
    assert told["tam"] == told["rm"]


def test_the_difference_is_of_draws_in_pairs_and_spread_of_seeds(monkeypatch):
    def told(_, evaluation, *__):
        shift = {"a": 0.0, "b": 2.0}[evaluation.id]
        return {"tam": [[1 + shift, 2 + shift]], "rm": [[0.0, 3.0]], "unmasked": 9.0}

    monkeypatch.setattr(campaign_results, "metrics_of", told)
    evaluations = [declared("net", 2, settings={"masked": [8], "draws": 2}) for _ in "ab"]
    evaluations[0].id, evaluations[1].id = "a", "b"
    _, numbers = masking.draw(SimpleNamespace(catalogue=CATALOGUE), evaluations)
    assert [seed["difference"] for seed in numbers["seeds"]] == [[0.0], [2.0]]
    assert numbers["seeds"][0]["difference_by_draw"] == [[1.0, -1.0]]
    assert numbers["networks"][0]["difference"] == {"mean": [1.0], "std": [pytest.approx(2**0.5)]}


def test_the_map_has_the_plain_evaluation_where_it_was_trained():
    of = subject(spikformer(), gamma=5, epsilon=0.01)
    told = gamma_epsilon.measure(of, gamma_epsilon.Settings(gammas=(0, 5), epsilons=(0.01, 0.5)))
    plain = of.measure(of.network()).summary()
    assert told["accuracy"][1][0] == plain["accuracy"] and told["tokens"][1][0] == plain["average_tokens"] < 1
    assert told["merged"][1][0] == pytest.approx(np.mean([5 / 64, 10 / 64, 15 / 64])) and told["merged"][0] == [0, 0]
    assert told["halted"][1][1] > told["halted"][1][0] > 0
    shares = sum(np.array(told[key]) for key in ("tokens", "merged", "halted"))
    assert np.allclose(shares, 1, rtol=0, atol=1e-12)


def test_the_frame_is_where_the_network_was_trained_or_nowhere():
    row = {"gammas": [0, 5], "epsilons": [0.1, 0.01], "trained": {"gamma": 5, "epsilon": 0.01}, "on_map": True}
    assert gamma_epsilon.place(row) == (1, 1)
    assert gamma_epsilon.place(row | {"trained": {"gamma": 5, "epsilon": 0.02}}) is None
    assert gamma_epsilon.place(row | {"on_map": False}) is None


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (masking.Settings, {"draws": 4}),
        (masking.Settings, {"masked": (64,)}),  # nothing left, and nothing masked: no difference to measure
        (masking.Settings, {"masked": (0, 8)}),
        (masking.Settings, {"masked": ()}),
        (gamma_epsilon.Settings, {"epsilons": (1.0,)}),
        (gamma_epsilon.Settings, {"gammas": (-1,)}),
        (block_similarity.Settings, {"images": 0}),
        (accuracy_by_block_and_timestep.Settings, {"image": 5}),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, fault):
    with pytest.raises(ValidationError, match=next(iter(fault))):
        settings(**fault)


@pytest.mark.parametrize("count", (1, 7, 24, 250))
def test_as_many_images_are_measured_as_are_asked_for(count):
    assert sum(len(labels) for _, labels in subject(spikformer(depth=1)).batches(images=count)) == min(count, IMAGES)


@torch.no_grad()
def test_channel_0_is_that_of_the_plain_stream_and_halting_that_of_the_formula():
    """Eqs. 3 and 4 once more, image by image: with nothing merged, and a network whose blocks are run one by one."""
    of = subject(spikformer())
    told = halting_onset.measure(of, halting_onset.Settings(betas=(-10.0, -4.0)))
    images, labels = pixels(of)
    u, counts = of.backbone.embed(images), []
    for block in of.backbone.blocks:
        u = block(u)
        counts.append(torch.bincount(u[..., 0].flatten().long(), minlength=9).double() / u[..., 0].numel())
    assert np.array(told["channel_0"])[:, :9] == pytest.approx(torch.stack(counts).numpy()) and counts[-1][3:].sum() > 0
    assert told["plain"] == pytest.approx(right(of.backbone(images).logits, labels))
    for place, beta in enumerate((-10.0, -4.0)):
        for axes in ("2d", "1d"):
            assert told[f"halted_{axes}"][place] == pytest.approx(halted_by_hand(of.backbone, images, beta, axes))
    assert told["halted_1d"][1] > told["halted_1d"][0] and told["halted_2d"][0] > told["halted_1d"][0]
    assert halting_onset.least_halting_count() == 3, "METHOD: x = 3 gives .9933"


def halted_by_hand(backbone, images, beta, axes):
    """Share of the tokens that halted in an earlier block."""
    u = backbone.embed(images)
    timesteps, count, tokens = u.shape[:3]
    live, streams = torch.ones(u.shape[:3], dtype=torch.bool), u
    score = torch.zeros(len(backbone.blocks), *u.shape[:3], dtype=torch.float64)
    halted = 0.0
    for l, block in enumerate(backbone.blocks):
        streams = block(streams, live)
        score[l] = torch.where(live, torch.sigmoid(5 * streams[..., 0] + beta), 0)
        for t in range(timesteps):
            blocks = score[: l + 1]
            total = blocks[:, : t + 1].sum((0, 1)) if axes == "2d" else blocks[:, t].sum(0)
            live[t] &= total < 0.99
        streams = streams * live[..., None]
        if l + 1 < len(backbone.blocks):
            halted += float((~live).double().mean()) / len(backbone.blocks)
    return halted
