"""Write and read the prepared format of all data sets: memory-mapped arrays beside the fingerprint and origin of their source.

A folder data/prepared/<id>/ holds, for each of the splits train, heldout and test, <split>_images.npy uint8 [N, H, W, 3] and
<split>_labels.npy int64 [N], <split>_masks.npy bool [N, H, W] where the set has object masks, and meta.json, written last.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.atomic_files import partial_path, read_json
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.core.randomness import generator
from pipeline.data.data_folders import find
from pipeline.data.identity import Data
from pipeline.data.sources import HELD_OUT, Raw


@dataclass(frozen=True)
class Split:
    """The arrays of a split."""

    images: np.ndarray  # uint8 [N, H, W, 3]
    labels: np.ndarray  # int64 [N]
    masks: np.ndarray | None  # bool [N, H, W]

    def __len__(self) -> int:
        return len(self.labels)


class Prepared:
    """An opened prepared data set: its `meta`, and its splits, memory-mapped."""

    def __init__(self, folder: Path):
        if not (folder / "meta.json").exists():
            raise UserError(f"{folder} holds no prepared data set: run python -m pipeline.prepare first")
        self.meta = read_json(folder / "meta.json", "counts", "classes", "mean", "std", "origin", "sha256")
        self.folder, self.opened = folder, {}

    def split(self, name: str) -> Split:
        """Open a split, once; its checksums are checked the first time. Raises UserError where a file is damaged or missing."""
        if name not in self.opened:
            self.opened[name] = self.open(name)
        return self.opened[name]

    def open(self, name: str) -> Split:
        """Check a split's files against their checksums and map them into memory."""

        def load(part):
            path = self.folder / f"{name}_{part}.npy"
            if not path.exists():
                return None
            if sha256(path) != self.meta["sha256"].get(path.name):
                raise UserError(
                    f"{path} is damaged, its checksum is of other bytes: delete {self.folder}, and it is prepared again"
                )
            return np.load(path, mmap_mode="r")

        images, labels = load("images"), load("labels")
        if images is None or labels is None or len(images) != self.meta["counts"][name]:
            raise UserError(f"{self.folder} is incomplete: delete it, and it is prepared again")
        return Split(images, labels, load("masks"))


def prepare(raw: Raw, data: Data, *, title: str, classes: int) -> Path:
    """Choose the splits and write them to data.folder, complete or absent; return the folder."""
    train, heldout = hold_out(raw.train_labels, classes)
    train = limit(train, data.train, f"{title}: datasets.{data.name}.train")
    test = limit(np.arange(len(raw.test_labels)), data.test, f"{title}: datasets.{data.name}.test")
    mean, std = channel_statistics(raw.train_images)
    if min(std) == 0:
        raise UserError(f"a colour of all {title} training images is the same everywhere: that is no data set, get it again")
    splits = {"train": (raw.train_images, raw.train_labels, raw.train_masks, train)}
    splits["heldout"] = (raw.train_images, raw.train_labels, raw.train_masks, heldout)
    splits["test"] = (raw.test_images, raw.test_labels, raw.test_masks, test)
    data.folder.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(data.folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    digests: dict[str, str] = {}
    try:
        for name, (images, labels, masks, indices) in splits.items():
            for part, array in (("images", images), ("labels", labels), ("masks", masks)):
                if array is not None:
                    path = partial / f"{name}_{part}.npy"
                    np.save(path, array[indices])
                    digests[path.name] = sha256(path)
        meta = {"id": data.id, "name": data.name, "title": title, "origin": data.origin, "official": data.official}
        meta |= {"source": data.fingerprint, "classes": classes, "mean": mean, "std": std}
        meta |= {"sha256": digests, "counts": {name: len(indices) for name, (*_, indices) in splits.items()}}
        (partial / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(data.folder, ignore_errors=True)
        os.rename(partial, data.folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return data.folder


def hold_out(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices into those kept for training, shuffled, and the 1,000 held out, sorted, the same number of each class.

    Raises UserError where there are too few images.
    """
    order = generator("hold out", len(labels)).permutation(len(labels))
    heldout = np.concatenate([order[labels[order] == c][: HELD_OUT // classes] for c in range(classes)])
    if len(heldout) != HELD_OUT:
        raise UserError(f"{len(heldout)} images could be held out of {len(labels)}, not {HELD_OUT}: too few of some class")
    if len(labels) == HELD_OUT:
        raise UserError(f"{HELD_OUT} training images are held out, and there are no more to train on: get the whole set")
    return order[~np.isin(order, heldout)], np.sort(heldout)


def limit(indices: np.ndarray, count: int | None, key: str) -> np.ndarray:
    """Take the first `count` indices, all where it is None, and sort them. Raises UserError where there are fewer."""
    if count is not None and count > len(indices):
        raise UserError(f"{key} asks for {count} images, there are {len(indices)}: ask for fewer, or say nothing for all")
    return np.sort(indices[:count])


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Compute mean and standard deviation per channel over all images, in [0, 1], to four places as published ones are."""
    sums, squares, pixels = np.zeros(3), np.zeros(3), images[..., 0].size
    for start in range(0, len(images), 1000):
        chunk = images[start : start + 1000].astype(np.float64) / 255
        sums += chunk.sum((0, 1, 2))
        squares += (chunk**2).sum((0, 1, 2))
    mean = sums / pixels
    return np.round(mean, 4).tolist(), np.round(np.sqrt(squares / pixels - mean**2), 4).tolist()


def prepare_from_source(dataset, data: Data, folders: list[Path]) -> Path:
    """Read a data set with its module, from the first folder that holds it, or its official address where there are none.

    It is prepared as `prepare` does; returns its folder.
    """
    folder, _ = find(dataset, folders)
    raw = dataset.read(folder, data.train, data.test)
    return prepare(raw, data, title=dataset.TITLE, classes=dataset.CLASS_COUNT)
