"""Find the images of TinyImageNet and their classes in each layout that tools make of it, by the names of the official archive.

Training images lie in train/<wnid>/images/ or train/<wnid>/. Validation images lie in val/images/ or val/, where
val/val_annotations.txt has their classes, or sorted into class folders: val/<wnid>/images/, val/<wnid>/ or val/images/<wnid>/.
Wherever they lie, an image keeps its official name, train/<wnid>/images/<file>.JPEG or val/images/<file>.JPEG.
"""
# Tested in tests/pipeline/data/datasets/test_tiny_layouts.py

import codecs
import re
from dataclasses import dataclass

from pipeline.core.errors import UserError
from pipeline.data.file_kinds import misfit
from pipeline.data.folder_or_zip import Tree

WNIDS, ANNOTATIONS = "wnids.txt", "val/val_annotations.txt"
WNID = re.compile(r"n\d{8}")
UNPACK = "unpack the official archive again"


@dataclass(frozen=True)
class Image:
    """Locate an image: its name in the folder or zip, and its class."""

    name: str
    wnid: str


def is_jpeg(name: str) -> bool:
    """Tell whether a name ends as that of a JPEG."""
    return name.lower().endswith((".jpeg", ".jpg"))


def official(file: str) -> str:
    """Write a JPEG's name with the official ending, .JPEG."""
    return f"{file.rpartition('.')[0]}.JPEG" if is_jpeg(file) else file


def decoded(content: bytes) -> str:
    """Decode a text of the set, also one that an editor has saved with a byte order mark."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return content.decode(encoding, errors="replace")


def class_names(tree: Tree) -> tuple[list[str], bytes]:
    """List the classes by wnids.txt or, without it, by the folders of train, sorted; and the bytes that name them."""
    if WNIDS in tree.names:
        content = tree.read(WNIDS)
        return sorted(decoded(content).split()), content
    folders = {name.split("/")[1] for name in tree.names if name.startswith("train/") and name.count("/") > 1}
    wnids = sorted(folder for folder in folders if WNID.fullmatch(folder))
    return wnids, "".join(f"{wnid}\n" for wnid in wnids).encode()


def training_images(tree: Tree, wnids: list[str]) -> dict[str, Image]:
    """Map official names to training images. Raises UserError for a folder of no class and an image of another class."""
    inner: dict[str, list[str]] = {wnid: [] for wnid in wnids}
    direct: dict[str, list[str]] = {wnid: [] for wnid in wnids}
    for name in tree.names:
        parts = name.split("/")
        if parts[0] != "train" or len(parts) < 3:
            continue
        if parts[1] not in inner:
            if not WNID.fullmatch(parts[1]) and not is_jpeg(name):
                continue  # a tool's or person's notes
            fault = f"{tree.place}/train/{parts[1]} is a folder that is not named as a class of {WNIDS}"
            raise UserError(f"{fault}: move it away, or {UNPACK}")
        if parts[2] == "images":
            inner[parts[1]].append(name)
        elif len(parts) == 3 and is_jpeg(name):
            direct[parts[1]].append(name)
    images: dict[str, Image] = {}
    for wnid in wnids:
        for name in inner[wnid] or direct[wnid]:
            file = name.removeprefix(f"train/{wnid}/").removeprefix("images/")
            if not is_jpeg(file):
                raise UserError(f"{tree.place}/{name} is no .JPEG, as the images of TinyImageNet are: move it away, or {UNPACK}")
            if not re.fullmatch(rf"{re.escape(wnid)}_\d+\.JPEG", official(file)):
                raise UserError(f"{tree.place}/{name} is not named as an image of its class, {wnid}_<number>.JPEG: move it away")
            add(tree, images, f"train/{wnid}/images/{official(file)}", Image(name, wnid))
    return images


def add(tree: Tree, images: dict[str, Image], name: str, image: Image) -> None:
    """Add an image by its official name. Raises UserError where another file has it already."""
    if name in images:
        raise UserError(f"{tree.place} has one image twice, as {images[name].name} and as {image.name}: move one of them away")
    images[name] = image


def validation_images(tree: Tree, wnids: list[str]) -> tuple[dict[str, Image], bytes]:
    """Map official names to validation images; and the bytes that name their classes: the annotations or, without, a list.

    Raises UserError where an image has no class, or two, or is missing.
    """
    unsorted = {name.removeprefix("val/images/"): name for name in tree.names if name.startswith("val/images/")}
    unsorted = {file: name for file, name in unsorted.items() if not (file.split("/")[0] in wnids and is_jpeg(file))}
    content = tree.read(ANNOTATIONS) if ANNOTATIONS in tree.names else b""
    if decoded(content).strip():
        return annotated_images(tree, read_annotations(tree, content, wnids), unsorted, wnids), content
    images = sorted_images(tree, wnids)
    for file, name in (beside_images(tree) | unsorted).items():
        if f"val/images/{official(file)}" not in images:
            state = "empty" if ANNOTATIONS in tree.names else "missing"
            where = f"{tree.place}/{name} is in no class folder, and {ANNOTATIONS}, which has its class, is "
            state = "a folder" if (tree.place / ANNOTATIONS).is_dir() else state
            raise UserError(f"{where}{state}: bring that file back, or {UNPACK}")
    lines = [f"{name.removeprefix('val/images/')}\t{image.wnid}\n" for name, image in sorted(images.items())]
    return images, "".join(lines).encode()


def beside_images(tree: Tree) -> dict[str, str]:
    """Map files to the validation images that lie in val itself."""
    return {name[4:]: name for name in tree.names if name.startswith("val/") and name.count("/") == 1 and is_jpeg(name)}


def sorted_images(tree: Tree, wnids: list[str]) -> dict[str, Image]:
    """Map official names to the validation images that lie in class folders, made in any of three ways."""
    images: dict[str, Image] = {}
    for name in tree.names:
        parts = name.split("/")
        if parts[0] == "val" and is_jpeg(name) and len(parts) in (3, 4):
            folders = [part for part in parts[1:-1] if part != "images"]
            if folders and folders[0] not in wnids:
                raise UserError(f"{tree.place}/{name} is in a folder that is not named as a class of {WNIDS}: {UNPACK}")
            if len(folders) == 1:
                add(tree, images, f"val/images/{official(parts[-1])}", Image(name, folders[0]))
    return images


def read_annotations(tree: Tree, content: bytes, wnids: list[str]) -> dict[str, str]:
    """Map files to classes by the annotations. Raises UserError where a line has no class, or a file stands twice."""
    annotated: dict[str, str] = {}
    for number, line in enumerate(decoded(content).splitlines(), start=1):
        if not line.strip():
            continue
        file, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in wnids or file in annotated:
            where = f"{tree.place}/{ANNOTATIONS}, line {number}"
            raise UserError(f"{where}, names no class of {WNIDS}, or a file again: {UNPACK}")
        annotated[file] = wnid
    return annotated


def annotated_images(tree: Tree, annotated: dict[str, str], unsorted: dict[str, str], wnids: list[str]) -> dict[str, Image]:
    """Find each annotated image, in val/images or else in a class folder; copies don't matter where val/images has all.

    Raises UserError where an image is missing, not annotated, or in the folder of another class than that of its annotation.
    """
    places = {official(file): name for file, name in (beside_images(tree) | unsorted).items()} | unsorted
    found = {file: places.get(file) or places.get(official(file)) for file in annotated}
    missing = [file for file, name in found.items() if not name]
    in_folders = sorted_images(tree, wnids) if missing else {}
    known = {f"val/images/{official(file)}" for file in annotated}
    unused = set(unsorted.values()) - set(found.values())
    unused |= {image.name for name, image in in_folders.items() if name not in known}
    for name in sorted(unused):
        raise UserError(f"{tree.place}/{name} is not annotated in {ANNOTATIONS}: move it away, or {UNPACK}")
    for file in missing:
        image = in_folders.get(f"val/images/{official(file)}")
        if not image:
            fault = (
                misfit(tree.place / "val/images" / file, "file") or f"{tree.place}/val/images/{file} is annotated, but not there"
            )
            raise UserError(f"{fault}: {UNPACK}")
        if image.wnid != annotated[file]:
            raise UserError(
                f"{tree.place}/{image.name} is in the folder of {image.wnid}, and {ANNOTATIONS} says {annotated[file]}: "
                f"move it, or take {ANNOTATIONS} away where the folders are right"
            )
        found[file] = image.name
    return {f"val/images/{file}": Image(name, annotated[file]) for file, name in found.items()}
