import numpy as np
import pytest
import torch
from noise import prepared_noise

from pipeline.campaign.declaration import Recipe
from pipeline.data.augmentation import OPERATIONS, TrainingBatches, rand_augment
from pipeline.data.evaluation_batches import evaluation_batches, normalise


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared_noise(tmp_path_factory.mktemp("prepared"), 1300, 64, 40)


def batches(data, seed=0, **change):
    return TrainingBatches(data, Recipe(batch=16, **change).model_dump(), seed)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b))


def test_the_operations_are_those_that_the_published_code_leaves():
    policy = rand_augment(Recipe().rand_augment, [0.5, 0.5, 0.5])
    assert (
        [op.name for op in policy.ops] == ["Equalize", "Rotate", "ShearX", "TranslateXRel", "TranslateYRel"] == list(OPERATIONS)
    )
    assert policy.num_layers == 1
    assert {(op.magnitude, op.magnitude_std, op.prob) for op in policy.ops} == {(9, 0.4, 0.5)}


def test_a_batch_depends_on_seed_epoch_and_step_alone(data):
    first = batches(data)
    expected = first[(2, 1)]
    assert same(first[(2, 1)], expected), "asked twice"
    other = batches(data)
    other[(0, 0)]
    torch.rand(3), np.random.rand(3)
    assert same(other[(2, 1)], expected), "after other batches and other draws"
    assert not same(batches(data, seed=1)[(2, 1)], expected)
    assert not same(first[(3, 1)], expected)


def test_workers_give_the_same_batches_as_no_workers(data):
    alone, with_workers = (list(batches(data).epoch(1, 1, workers)) for workers in (0, 2))
    assert len(alone) == len(with_workers) == 3
    assert all(same(a, b) for a, b in zip(alone, with_workers))


def test_an_epoch_holds_every_image_once_in_an_order_of_its_own(data):
    plain = {"mixup": 0, "rand_augment": None, "flip": 0, "erasing": 0, "label_smoothing": 0}
    epochs = [torch.cat([images for images, _ in batches(data, **plain).epoch(e, 0, 0)]) for e in (0, 1)]
    sums = [torch.sort(images.double().sum((1, 2, 3))).values for images in (*epochs, normalised_by_hand(data))]
    for found in sums[:2]:
        torch.testing.assert_close(found, sums[2], rtol=0, atol=1e-2)
    assert sums[2].diff().median() > 1e-2, "images must be told apart by their sums"
    assert not torch.equal(*epochs)


def normalised_by_hand(data):
    split = data.split("train")
    images = torch.tensor(split.images[:]).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(data.meta[key], dtype=torch.float32).view(3, 1, 1) for key in ("mean", "std"))
    return (images.float() / 255 - mean) / std


def test_mixup_ends_with_its_epoch_and_smoothing_stays(data):
    on, off = (batches(data, mixup_off_epoch=5)[(epoch, 0)][1] for epoch in (4, 5))
    assert off.max(1).values.unique().numel() == 1 and off.max().item() == pytest.approx(0.91)
    assert off.min().item() == pytest.approx(0.01)
    assert (on.max(1).values < 0.9).any()
    torch.testing.assert_close(on.sum(1), torch.ones(16))


def test_erasing_sets_a_rectangle_to_the_mean_colour_in_a_quarter_of_the_images(data):
    plain = {"mixup": 0, "rand_augment": None, "flip": 0}
    images = torch.cat([batches(data, **plain)[(epoch, step)][0] for epoch in range(25) for step in range(4)])
    erased = (images == 0).all(1).flatten(1).sum(1) > 10
    assert 0.21 < erased.float().mean() < 0.29  # 1600 images: four standard deviations are 0.043


def test_evaluation_is_normalised_and_in_order(data):
    images, labels = (torch.cat(x) for x in zip(*evaluation_batches(data, "test", size=16)))
    assert images.shape == (40, 3, 32, 32) and labels.tolist() == [i % 10 for i in range(40)]
    assert abs(images.mean()) < 0.05 and abs(images.std() - 1) < 0.05


def test_normalising_gives_the_bits_of_torchvision():
    from torchvision.transforms.v2 import functional

    images = torch.arange(256, dtype=torch.uint8).repeat(12).reshape(1, 3, 32, 32)
    mean, std = [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]
    expected = functional.normalize(functional.to_dtype(images, torch.float32, scale=True), mean, std)
    assert torch.equal(normalise(images, mean, std), expected)
