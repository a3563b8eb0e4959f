"""Read TinyImageNet (Stanford CS231n): 100,000 training and 10,000 test colour images of 64x64, 200 classes.

tiny-imagenet-200/ holds wnids.txt, train/<wnid>/images/<wnid>_<n>.JPEG, val/images/*.JPEG and val/val_annotations.txt
(per line, between tabs: file, wnid, box). Its validation set is the test set here. A label is the position of its wnid among
the sorted ones. Only the archive can be known to be the official one, so a folder unpacked from it counts as a copy.
"""

import hashlib
import io
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.data.download import download
from pipeline.data.fingerprints import remembered
from pipeline.data.folder_or_zip import Tree, open_tree
from pipeline.data.sources import HELD_OUT, Raw, Source, unofficial

TITLE = "TinyImageNet"
CLASS_COUNT = 200
IMAGE_SIZE = 64
ADDRESS = "https://cs231n.stanford.edu/tiny-imagenet-200.zip"
ARCHIVE = "tiny-imagenet-200.zip"
ARCHIVE_SHA256 = "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"
FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val/val_annotations.txt"
PER_CLASS = {"train": 500, "test": 50}
COUNTS = CLASS_COUNT * PER_CLASS["train"] - HELD_OUT, CLASS_COUNT * PER_CLASS["test"]


def source(folder: Path | None) -> Source:
    """Identify the set in a folder by content; None is the official archive."""
    if folder is None:
        return Source(ARCHIVE_SHA256, TITLE, official=True)
    place = locate(folder)
    fingerprint, train = remembered([place], lambda: fingerprint_and_train_count(place))
    if fingerprint == ARCHIVE_SHA256:
        return source(None)
    full = CLASS_COUNT * PER_CLASS["train"]
    return unofficial(TITLE, fingerprint, "" if train == full else f"{100 * train / full:g} % of the training images")


def fingerprint_and_train_count(place: Path) -> tuple[str, int]:
    """Compute the fingerprint (for a copy, from names and contents of all files that are read) and count the training images."""
    if place.is_file() and sha256(place) == ARCHIVE_SHA256:
        return ARCHIVE_SHA256, CLASS_COUNT * PER_CLASS["train"]
    with open_tree(place, FOLDER) as tree:
        train, test = labels_by_name(tree)
        digest = hashlib.sha256()
        for name in sorted(["wnids.txt", ANNOTATIONS, *train, *test]):
            digest.update(f"{name} {hashlib.sha256(tree.read(name)).hexdigest()}\n".encode())
    return digest.hexdigest(), len(train)


def locate(folder: Path) -> Path:
    """Find the archive, which can be known as official, or else the folder unpacked from it. Raises UserError for neither."""
    if not folder.is_dir():
        raise UserError(
            f"data folder {folder} does not exist: name one that holds {ARCHIVE} or {FOLDER}/, or none to download it"
        )
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    for place in (folder / FOLDER, folder):
        if (place / "wnids.txt").is_file():
            return place
    raise UserError(f"no {TITLE} in {folder}: it must hold {ARCHIVE} or {FOLDER}/ with wnids.txt, train and val")


def read(folder: Path | None, train: int | None, test: int | None) -> Raw:
    """Read all images, downloaded where folder is None; `train` and `test` are ignored, since `prepare` applies them."""
    place = locate(folder) if folder else download(ADDRESS, ARCHIVE_SHA256)
    with open_tree(place, FOLDER) as tree:
        splits = labels_by_name(tree)
        return Raw(*(array for labels in splits for array in (decode_all(tree, labels), np.array([*labels.values()], np.int64))))


def labels_by_name(tree: Tree) -> tuple[dict[str, int], dict[str, int]]:
    """Map the names of the training and of the validation images to labels, sorted by name, and check all but the pixels.

    Raises UserError where the set is incomplete or something else.
    """
    wnids = sorted(tree.read("wnids.txt").decode(errors="replace").split())
    if len(wnids) != CLASS_COUNT or len(set(wnids)) != CLASS_COUNT:
        raise UserError(
            f"{tree.place}/wnids.txt names {len(set(wnids))} classes in {len(wnids)} lines, not {CLASS_COUNT}: not {TITLE}"
        )
    classes = {wnid: label for label, wnid in enumerate(wnids)}
    return training_labels(tree, classes), validation_labels(tree, classes)


def training_labels(tree: Tree, classes: dict[str, int]) -> dict[str, int]:
    """Label training images by their folders, and check that each class has the same number."""
    labels = {}
    for name in tree.names:
        parts = name.split("/")
        if parts[0] != "train" or len(parts) < 3:
            continue
        if parts[1] not in classes:
            raise UserError(f"{tree.place}/train/{parts[1]} is a class that wnids.txt does not name: not {TITLE}")
        if parts[2] == "images":
            if not re.fullmatch(rf"{re.escape(parts[1])}_\d+\.JPEG", "/".join(parts[3:])):
                raise UserError(f"{tree.place}/{name} is not named as an image of its class: take it away, or get the set again")
            labels[name] = classes[parts[1]]
    counts = np.bincount([*labels.values()], minlength=CLASS_COUNT)
    if not 0 < counts.min() == counts.max() <= PER_CLASS["train"]:
        fewest, most = (f"{counts[label]} of {list(classes)[label]}" for label in (counts.argmin(), counts.argmax()))
        raise UserError(
            f"{tree.place} holds training images from {fewest} to {most}, not the same number of each class and "
            f"at most {PER_CLASS['train']}: get the set again"
        )
    return labels


def validation_labels(tree: Tree, classes: dict[str, int]) -> dict[str, int]:
    """Label validation images by the annotations, and check that these name every file once."""
    annotated, where = {}, f"{tree.place}/{ANNOTATIONS}"
    for number, line in enumerate(tree.read(ANNOTATIONS).decode(errors="replace").splitlines(), start=1):
        file, _, rest = line.partition("\t")
        name, wnid = f"val/images/{file}", rest.partition("\t")[0]
        if wnid not in classes or name in annotated:
            raise UserError(f"{where}, line {number}, names no class of wnids.txt, or a file again: get the set again")
        annotated[name] = classes[wnid]
    present = {name for name in tree.names if name.startswith("val/images/")}
    for name in sorted(present ^ annotated.keys()):
        raise UserError(
            f"{tree.place}/{name} is {'not annotated' if name in present else 'annotated, but not there'}: get the set again"
        )
    counts = Counter(annotated.values())
    for wnid, label in classes.items():
        if counts[label] != PER_CLASS["test"]:
            raise UserError(f"{where} names {counts[label]} images of {wnid}, not {PER_CLASS['test']}: get the set again")
    return dict(sorted(annotated.items()))


def decode_all(tree: Tree, names: dict[str, int]) -> np.ndarray:
    """Decode images in the order of the names: uint8 [N, 64, 64, 3]."""
    decoded = np.empty((len(names), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for index, name in enumerate(names):
        decoded[index] = decode(tree.read(name), f"{tree.place}/{name}")
    return decoded


def decode(content: bytes, where: str) -> np.ndarray:
    """Decode a JPEG to uint8 [64, 64, 3], grey to three equal channels. Raises UserError if it is damaged or of another size."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            size = image.size
            pixels = np.asarray(image.convert("RGB")) if size == (IMAGE_SIZE, IMAGE_SIZE) else None
    except Exception as error:  # a damaged image can raise anything
        raise UserError(f"{where} is no readable JPEG ({error}): it is damaged or truncated, get the set again") from error
    if pixels is None:
        raise UserError(f"{where} has {size[0]}x{size[1]} pixels, not {IMAGE_SIZE}x{IMAGE_SIZE}: not {TITLE}")
    return pixels
