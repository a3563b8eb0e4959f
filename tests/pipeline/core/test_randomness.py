"""Every draw follows from what it is for, and from nothing that happened before."""

import numpy as np
import pytest
import torch

from pipeline.core import randomness
from pipeline.core.errors import UserError


def test_a_draw_depends_on_every_part_of_its_key_and_on_their_order():
    keys = {randomness.key_of(*parts) for parts in ((0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), ("a", 0, 1), (0, "a"))}
    assert len(keys) == 6 and randomness.key_of(0, "a", 1) in keys


def test_what_was_drawn_before_changes_nothing():
    first = randomness.generator(3, "masks").random(4)
    randomness.generator(3, "masks").random(100)
    assert np.array_equal(randomness.generator(3, "masks").random(4), first)
    randomness.seed_everything(7, "weights")
    weights = torch.rand(3)
    torch.rand(100)
    randomness.seed_everything(7, "weights")
    assert torch.equal(torch.rand(3), weights)


def test_each_epoch_goes_through_all_images_in_an_order_of_its_own():
    orders = [randomness.epoch_order(0, epoch, 50) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders) and not np.array_equal(*orders)


def test_processes_share_a_batch_in_the_pairs_that_mixup_makes():
    shares = [randomness.share_of_batch(12, number, 3) for number in range(3)]
    assert sorted(np.concatenate(shares)) == list(range(12))
    assert all({11 - image for image in share} == set(share) for share in shares)
    with pytest.raises(UserError, match="a batch of 12 can't be shared by 4 processes, .* that divides 6"):
        randomness.share_of_batch(12, 0, 4)
