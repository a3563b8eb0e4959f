import dataclasses
import json

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.data import identity
from pipeline.data.identity import Data
from pipeline.data.prepared import Prepared, channel_statistics, hold_out, prepare
from pipeline.data.sources import Raw


@pytest.fixture
def raw():
    images = np.random.default_rng(0).integers(0, 256, (1500, 8, 8, 3), dtype=np.uint8)
    masks = images[..., 0] > 128
    return Raw(images, np.arange(1500) % 10, images[:50], np.arange(50) % 10, masks, masks[:50])


def data(train=None, test=None):
    return Data("noise", "noise-1", "noise from nowhere", False, train, test)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "PREPARED", tmp_path / "prepared")


def test_held_out_images_are_1000_balanced_and_never_trained_on(raw):
    kept, heldout = hold_out(raw.train_labels, 10)
    assert len(heldout) == 1000 and len(kept) == 500 and not set(kept) & set(heldout)
    assert np.array_equal(np.bincount(raw.train_labels[heldout]), [100] * 10)


def test_what_is_opened_is_what_was_prepared(raw):
    opened = Prepared(prepare(raw, data(train=200), title="noise", classes=10))
    assert opened.meta["counts"] == {"train": 200, "heldout": 1000, "test": 50}
    assert (opened.meta["origin"], opened.meta["source"], opened.meta["official"]) == ("noise from nowhere", "noise-1", False)
    train, _ = hold_out(raw.train_labels, 10)
    split = opened.split("train")
    assert isinstance(split.images, np.memmap) and split.images.dtype == np.uint8
    assert np.array_equal(split.images, raw.train_images[np.sort(train[:200])])
    assert np.array_equal(opened.split("test").masks, raw.test_masks)


def test_statistics_are_of_all_training_images_in_four_digits(raw):
    mean, std = channel_statistics(raw.train_images)
    pixels = raw.train_images.reshape(-1, 3) / 255
    assert mean == np.round(pixels.mean(0), 4).tolist() and std == np.round(pixels.std(0), 4).tolist()


def test_asking_for_more_than_there_is_names_the_key(raw):
    with pytest.raises(UserError, match="datasets.noise.train asks for 501 images, there are 500"):
        prepare(raw, data(train=501), title="noise", classes=10)
    assert not list(identity.PREPARED.glob("*")), "nothing half-written"


def test_images_from_which_nothing_can_be_learned_are_refused(raw):
    all_held_out = dataclasses.replace(raw, train_images=raw.train_images[:1000], train_labels=raw.train_labels[:1000])
    with pytest.raises(UserError, match="1000 training images are held out, and there are no more to train on"):
        prepare(all_held_out, data(), title="noise", classes=10)
    without_blue = raw.train_images * np.array([1, 1, 0], np.uint8)
    with pytest.raises(UserError, match="a colour of all noise training images is the same everywhere"):
        prepare(dataclasses.replace(raw, train_images=without_blue), data(), title="noise", classes=10)
    assert not list(identity.PREPARED.glob("*")), "nothing half-written"


def test_what_was_cut_off_is_no_data_set(raw, tmp_path):
    folder = prepare(raw, data(), title="noise", classes=10)
    (folder / "test_images.npy").unlink()
    with pytest.raises(UserError, match="incomplete: delete it"):
        Prepared(folder).split("test")
    (folder / "meta.json").write_text(json.dumps({})[:1])
    with pytest.raises(UserError, match="meta.json can't be read .*delete it, and it is made again"):
        Prepared(folder)
    (folder / "meta.json").unlink()
    with pytest.raises(UserError, match="no prepared data set: run python -m pipeline.prepare"):
        Prepared(folder)
    whole = np.load(prepare(raw, data(), title="noise", classes=10) / "train_images.npy")
    (folder / "train_images.npy").write_bytes(whole.tobytes()[:5000])
    with pytest.raises(UserError, match="train_images.npy is damaged, .*it is prepared again"):
        Prepared(folder).split("train")
