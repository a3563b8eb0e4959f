"""Read TinyImageNet (Stanford CS231n): 100,000 training and 10,000 test colour images of 64x64, 200 classes.

tiny-imagenet-200/ holds wnids.txt, train/<wnid>/images/<wnid>_<n>.JPEG, val/images/*.JPEG and val/val_annotations.txt
(per line, between tabs: file, wnid, box), or is laid out as tools do it: see `pipeline.data.tiny_layouts`. Its validation set is
the test set here. A label is the position of its wnid among the sorted ones. Only the archive can be known to be the official
one, so a folder unpacked from it counts as a copy.
"""

import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.data.data_folders import amiss, check_is_folder, not_here, or_read_instead
from pipeline.data.download import download
from pipeline.data.file_kinds import kind_of, misfit, names_in
from pipeline.data.fingerprints import remembered
from pipeline.data.folder_or_zip import Tree, open_tree
from pipeline.data.sources import HELD_OUT, Raw, Source, unofficial
from pipeline.data.tiny_layouts import (
    ANNOTATIONS,
    UNPACK,
    WNID,
    WNIDS,
    Image,
    class_names,
    training_images,
    validation_images,
)

TITLE = "TinyImageNet"
CLASS_COUNT = 200
IMAGE_SIZE = 64
ADDRESS = "https://cs231n.stanford.edu/tiny-imagenet-200.zip"
ARCHIVE = "tiny-imagenet-200.zip"
ARCHIVE_SHA256 = "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"
FOLDER = "tiny-imagenet-200"
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
    """Compute the fingerprint and count the training images.

    A copy's is made of official names and contents of all that is read, so it is the same in all layouts that keep the texts.
    """
    if place.is_file() and sha256(place) == ARCHIVE_SHA256:
        return ARCHIVE_SHA256, CLASS_COUNT * PER_CLASS["train"]
    with open_place(place) as tree:
        listing = list_images(tree)
        digest = hashlib.sha256()
        images = listing.train | listing.test
        for name in sorted([*listing.texts, *images]):
            content = listing.texts[name] if name in listing.texts else tree.read(images[name].name)
            digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest(), len(listing.train)


def locate(folder: Path) -> Path:
    """Find the archive, which can be known as official, or else the folder unpacked from it. Raises NotHere for neither."""
    check_is_folder(folder)
    if place := place_in(folder):
        return place
    wanted = f"it must hold {ARCHIVE} or {FOLDER}/ with train and val: get {ADDRESS}, or name no folder, and it is downloaded"
    raise not_here(TITLE, folder, place_in, wanted, amiss(folder / ARCHIVE, folder / FOLDER))


def place_in(folder: Path) -> Path | None:
    """Find the set in a folder: as the archive, in the folders that unpacking makes, or as that folder; None elsewhere."""
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    return next((place for place in unpacked_folders(folder) if is_unpacked(place)), None)


def unpacked_folders(folder: Path) -> list[Path]:
    """List where a folder may hold the unpacked set: some programs unpack into one more folder of the same name."""
    return [folder / FOLDER, folder, folder / FOLDER / FOLDER]


def is_unpacked(place: Path) -> bool:
    """Tell whether a folder holds the list of classes, or has training and validation images in folders named as classes."""
    return (place / WNIDS).is_file() or ((place / "val").is_dir() and any(map(WNID.fullmatch, names_in(place / "train"))))


def read(folder: Path | None, train: int | None, test: int | None) -> Raw:
    """Read all images, downloaded where folder is None; `train` and `test` are ignored, since `prepare` applies them."""
    place = locate(folder) if folder else download(ADDRESS, ARCHIVE_SHA256)
    with open_place(place) as tree:
        listing = list_images(tree)
        splits = [dict(sorted(images.items())) for images in (listing.train, listing.test)]
        return Raw(*(array for images in splits for array in (decode_all(tree, images), labels_of(listing, images))))


@contextmanager
def open_place(place: Path) -> Iterator[Tree]:
    """Open the archive or the unpacked folder; an error about an archive says where an unpacked folder lies that may be read."""
    folders = unpacked_folders(place.parent) if place.is_file() else []
    with or_read_instead(place, [folder for folder in folders if is_unpacked(folder)]), open_tree(place, FOLDER) as tree:
        yield tree


@dataclass(frozen=True)
class Listing:
    """The images of both splits by official name, the sorted classes, and the texts that name those and the images' classes."""

    wnids: list[str]
    train: dict[str, Image]
    test: dict[str, Image]
    texts: dict[str, bytes]


def list_images(tree: Tree) -> Listing:
    """List the images, and check all but the pixels. Raises UserError where the set is incomplete or something else."""
    check_folders(tree, ["train", "val", "val/images"])
    for split in ("train", "val"):
        if not any(name.startswith(f"{split}/") for name in tree.names):
            raise UserError(f"{tree.place} has no images in {split}: it is {TITLE} in part, or something else; {UNPACK}")
    wnids, wnids_text = class_names(tree)
    if len(wnids) != CLASS_COUNT or len(set(wnids)) != CLASS_COUNT:
        named = f"{tree.place}/{WNIDS} names {len(set(wnids))} classes in {len(wnids)} lines"
        if WNIDS not in tree.names:
            named = f"{tree.place} has no {WNIDS}, and folders of {len(wnids)} classes in train"
        raise UserError(f"{named}, not {CLASS_COUNT}: not {TITLE}, or unpacked in part")
    check_folders(tree, [f"train/{wnid}{inner}" for wnid in wnids for inner in ("", "/images")])
    train = training_images(tree, wnids)
    check_training_counts(tree, wnids, train)
    test, annotations = validation_images(tree, wnids)
    counts = Counter(image.wnid for image in test.values())
    for wnid in wnids:
        if counts[wnid] != PER_CLASS["test"]:
            raise UserError(
                f"{tree.place}/{ANNOTATIONS if ANNOTATIONS in tree.names else 'val'} names {counts[wnid]} images of {wnid}, "
                f"not {PER_CLASS['test']}: {UNPACK}"
            )
    return Listing(wnids, train, test, {WNIDS: wnids_text, ANNOTATIONS: annotations})


def check_folders(tree: Tree, folders: list[str]) -> None:
    """Raise UserError where a file stands in the place of a folder."""
    for name in sorted(set(folders) & set(tree.names)):
        fault = misfit(tree.place / name, "folder") or f"{tree.place}/{name} is a file, and must be a folder"
        raise UserError(f"{fault}: move it away, and {UNPACK}")


def check_training_counts(tree: Tree, wnids: list[str], train: dict[str, Image]) -> None:
    """Raise UserError unless each class has the same number of training images, and no more than it should."""
    counts = {wnid: 0 for wnid in wnids} | Counter(image.wnid for image in train.values())
    fewest, most = min(counts, key=counts.get), max(counts, key=counts.get)
    if 0 < counts[fewest] == counts[most] <= PER_CLASS["train"]:
        return
    example = next((name for name in tree.names if name.startswith("train/") and not name.endswith(".txt")), "")
    if not train and example:
        raise UserError(f"{tree.place} has no JPEG images of its classes in train, but {example}: {UNPACK}")
    raise UserError(
        f"{tree.place} holds training images from {counts[fewest]} of {fewest} to {counts[most]} of {most}, not the same number "
        f"of each class and at most {PER_CLASS['train']}: {UNPACK}"
    )


def labels_of(listing: Listing, images: dict[str, Image]) -> np.ndarray:
    """Give the labels of images, int64 [N]: the positions of their classes."""
    position = {wnid: label for label, wnid in enumerate(listing.wnids)}
    return np.array([position[image.wnid] for image in images.values()], np.int64)


def decode_all(tree: Tree, images: dict[str, Image]) -> np.ndarray:
    """Decode images in their order: uint8 [N, 64, 64, 3]."""
    decoded = np.empty((len(images), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for index, image in enumerate(images.values()):
        decoded[index] = decode(tree.read(image.name), f"{tree.place}/{image.name}")
    return decoded


def decode(content: bytes, where: str) -> np.ndarray:
    """Decode a JPEG to uint8 [64, 64, 3], grey to three equal channels. Raises UserError if it is damaged or of another size."""
    try:
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            size = image.size
            pixels = np.asarray(image.convert("RGB")) if size == (IMAGE_SIZE, IMAGE_SIZE) else None
    except Exception as error:  # a damaged image can raise anything
        kind = kind_of(content)
        if kind and "JPEG" not in kind:
            raise UserError(f"{where} is no readable JPEG: it is {kind}; {UNPACK}") from error
        raise UserError(f"{where} is no readable JPEG ({error}): it is damaged or truncated, {UNPACK}") from error
    if pixels is None:
        raise UserError(f"{where} has {size[0]}x{size[1]} pixels, not {IMAGE_SIZE}x{IMAGE_SIZE}: not {TITLE}")
    return pixels
