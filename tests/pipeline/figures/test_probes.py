"""What figures measure by themselves, against the same worked out image by image."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from reference import random_official_state_dict

from models.convert import from_official_spikformer
from models.vit import ViT
from pipeline.figures import accuracy_by_block_and_timestep, block_similarity, gamma_epsilon, masking
from pipeline.subject import Subject

IMAGES, T = 12, 3


class Data:
    """A prepared data set of random images, in memory."""

    meta = {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}

    def split(self, name):
        random = np.random.default_rng(0)
        split = SimpleNamespace(
            images=random.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8), labels=random.integers(0, 5, IMAGES)
        )
        return type("Split", (), vars(split) | {"__len__": lambda self: IMAGES})()


def subject(backbone=None, **options):
    if backbone is None:
        state = random_official_state_dict(depth=3, width=16, classes=5, seed=1, blockwise_gain=1.0)
        backbone = from_official_spikformer(state, heads=2, timesteps=T)
    options = {"gamma": 5} | options
    run = SimpleNamespace(method="at_snn", seed=7, options=options)
    evaluation = SimpleNamespace(run=run, options=options)
    place = (torch.device("cpu"), torch.float64, __import__("contextlib").nullcontext)
    return Subject(evaluation, backbone.double().eval(), Data(), *place)


def images(of):
    x, y = next(of.batches())
    return x.double(), y


def accuracy(logits, labels):
    return 100 * int((logits.mean(0).argmax(-1) == labels).sum()) / len(labels)


@torch.no_grad()
def test_the_last_block_and_the_last_timestep_are_the_network_itself():
    of = subject()
    told = accuracy_by_block_and_timestep.measure(of, accuracy_by_block_and_timestep.Settings())
    x, labels = images(of)
    logits = of.backbone(x).logits
    assert len(told["accuracy_by_block"]) == 4 and len(told["accuracy_by_timestep"]) == T
    assert told["accuracy_by_block"][-1] == told["accuracy_by_timestep"][-1] == accuracy(logits, labels)
    assert told["accuracy_by_timestep"] == [accuracy(logits[:t], labels) for t in range(1, T + 1)]
    u = of.backbone.blocks[0](of.backbone.embed(x))
    assert told["accuracy_by_block"][1] == accuracy(of.backbone.head(u.mean(2)), labels)


@torch.no_grad()
def test_similarity_is_that_of_each_token_in_turn():
    of = subject()
    told = block_similarity.measure(of, block_similarity.Settings())
    before = of.backbone.embed(images(of)[0])
    after = of.backbone.blocks[0](before)
    errors, cosines, left_out = [], [], 0
    for b in range(IMAGES):
        for k in range(64):
            x, y = before[1, b, k].numpy(), after[1, b, k].numpy()
            if not x.any() or not y.any():
                left_out += 1
                continue
            errors.append(np.sqrt(((y - x) ** 2).sum()) / np.sqrt((y**2).sum()))
            cosines.append(x @ y / np.sqrt((x @ x) * (y @ y)))
    assert np.shape(told["error"]) == (2, T) and len(errors) > 100
    assert told["error"][0][1] == pytest.approx(np.mean(errors)) and told["cosine"][0][1] == pytest.approx(np.mean(cosines))
    zero = torch.zeros(1, 1, 2, 4, dtype=torch.float64)
    one = torch.tensor([[[[1.0, 2, 0, 2], [0, 0, 0, 0]]]], dtype=torch.float64)
    assert [x.tolist() for x in block_similarity.similarity(one, one)] == [[0.0], [1.0], [1]], "equal ones, and a zero left out"
    assert block_similarity.similarity(one, zero)[2].tolist() == [0]


def test_a_vit_is_measured_too():
    torch.manual_seed(0)
    of = subject(ViT(depth=3, width=16, heads=2, classes=5))
    told = block_similarity.measure(of, block_similarity.Settings(images=4))
    assert np.shape(told["cosine"]) == (2, 1) and told["left_out"] == 0 and 0 < told["cosine"][0][0] <= 1


@torch.no_grad()
def test_masked_tokens_are_gone_and_random_ones_change_with_time():
    of = subject()
    told = masking.measure(of, masking.Settings(masked=(0, 20, 64), draws=5))
    x, labels = images(of)
    plain = accuracy(of.backbone(x).logits, labels)
    assert told["unmasked"] == plain and told["tam"][0] == told["rm"][0] == [plain] * 5, "nothing masked is the network itself"
    nothing = accuracy(of.backbone.head.bias.expand(T, IMAGES, -1), labels)
    assert told["tam"][2] == told["rm"][2] == [nothing] * 5, "everything masked leaves the head's bias"
    order = masking.orders(7, 2, 0, (T, IMAGES, 64))
    assert np.array_equal(np.sort(order, axis=-1), np.broadcast_to(np.arange(64), order.shape))
    assert (order[0] != order[1]).mean() > 0.9 and (order[:, 0] != order[:, 1]).mean() > 0.9
    assert np.array_equal(masking.orders(7, 2, 3, (T, 2, 64)), order[:, 3:5]), "whatever the batches"
    for kind, live in (("rm", order >= 20), ("tam", np.broadcast_to(order[0] >= 20, order.shape))):
        u = of.backbone.embed(x).clone()
        u[~torch.tensor(live.copy())] = 0
        for block in of.backbone.blocks:
            u = block(u, torch.tensor(live.copy()))
        assert not u[~torch.tensor(live.copy())].any()
        assert told[kind][1][2] == accuracy(of.backbone.head(u.sum(2) / 64), labels)


def test_consistent_and_random_masks_are_the_same_where_there_is_one_timestep():
    state = random_official_state_dict(depth=2, width=16, classes=5, seed=1)
    told = masking.measure(subject(from_official_spikformer(state, heads=2, timesteps=1)), masking.Settings(masked=(30,)))
    assert told["tam"] == told["rm"]


def test_the_map_holds_the_plain_evaluation_and_its_shares_add_up():
    of = subject()
    told = gamma_epsilon.measure(of, gamma_epsilon.Settings(gammas=(0, 5), epsilons=(0.01, 0.5)))
    plain = of.measure(of.network()).summary()
    assert (told["accuracy"][1][0], told["tokens"][1][0]) == (plain["accuracy"], plain["average_tokens"])
    assert told["merged"][0] == [0, 0] and told["halted"][0][1] > told["halted"][0][0] > 0
    total = np.array(told["tokens"]) + np.array(told["merged"]) + np.array(told["halted"])
    assert np.allclose(total, 1, rtol=0, atol=1e-12)


def test_fewer_draws_than_five_are_refused():
    with pytest.raises(ValueError, match="draws"):
        masking.Settings(draws=4)
