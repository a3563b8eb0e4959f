"""CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 colour images of 32x32, 100 classes; the python version of the archive."""

import hashlib
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.sources import Raw, Source, archive_members, download, sha256, unpickle

TITLE = "CIFAR-100"
CLASS_COUNT = 100
IMAGE_SIZE = 32
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
ARCHIVE = "cifar-100-python.tar.gz"
ARCHIVE_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
FOLDER = "cifar-100-python"
OFFICIAL_MD5 = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}  # torchvision's
PER_CLASS = {"train": 500, "test": 100}


def source(folder: Path | None) -> Source:
    """What a folder holds, recognised by content: the official images are official wherever they lie."""
    if folder is None:
        return official()
    place = locate(folder)
    if place.is_file():
        found = sha256(place)
        return official() if found == ARCHIVE_SHA256 else other(found)
    contents = [(place / split).read_bytes() for split in OFFICIAL_MD5]
    if all(hashlib.md5(c).hexdigest() == md5 for c, md5 in zip(contents, OFFICIAL_MD5.values())):
        return official()
    return other(hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in contents)).hexdigest())


def official() -> Source:
    return Source(ARCHIVE_SHA256, TITLE, official=True)


def other(fingerprint: str) -> Source:
    return Source(fingerprint, f"{TITLE} (a copy, not the official archive, sha256 {fingerprint[:8]})", official=False)


def locate(folder: Path) -> Path:
    """The archive in a folder, or the folder unpacked from it."""
    if not folder.is_dir():
        raise UserError(
            f"data folder {folder} does not exist: name one that holds {ARCHIVE} or {FOLDER}/, or none to download it"
        )
    for place in (folder / FOLDER, folder):
        if all((place / split).is_file() for split in OFFICIAL_MD5):
            return place
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    raise UserError(f"no {TITLE} in {folder}: it must hold {ARCHIVE} or {FOLDER}/ with the files train and test")


def read(folder: Path | None, train: int | None, test: int | None) -> Raw:
    """All images; how many of them are used is the prepared format's matter."""
    place = locate(folder) if folder else download(ADDRESS, ARCHIVE_SHA256)
    if place.is_file():
        content = archive_members(place, [f"{FOLDER}/{split}" for split in OFFICIAL_MD5])
        batches = {split: content[f"{FOLDER}/{split}"] for split in OFFICIAL_MD5}
    else:
        batches = {split: (place / split).read_bytes() for split in OFFICIAL_MD5}
    images, labels = {}, {}
    for split, batch in batches.items():
        images[split], labels[split] = decode(unpickle(batch, f"{place} ({split})"), split, place)
    return Raw(images["train"], labels["train"], images["test"], labels["test"])


def decode(batch: dict, split: str, place: Path) -> tuple[np.ndarray, np.ndarray]:
    """A batch file's rows of 3072 channel-major bytes as images [N, 32, 32, 3], with all counts checked."""
    labels = np.asarray(batch.get("fine_labels", []), dtype=np.int64)
    rows = np.asarray(batch.get("data", []))
    expected = PER_CLASS[split] * CLASS_COUNT
    if rows.shape != (expected, 3072) or rows.dtype != np.uint8 or len(labels) != expected:
        raise UserError(
            f"{place} ({split}) holds {rows.shape} {rows.dtype} and {len(labels)} fine labels, not {expected} images: not {TITLE}"
        )
    if not np.array_equal(np.bincount(labels, minlength=CLASS_COUNT), np.full(CLASS_COUNT, PER_CLASS[split])):
        raise UserError(
            f"{place} ({split}) does not hold {PER_CLASS[split]} images of each of {CLASS_COUNT} classes: not {TITLE}"
        )
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels
