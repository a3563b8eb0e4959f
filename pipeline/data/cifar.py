"""Read CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from the python version of their archives, and check files and counts."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.data import untrusted_pickles
from pipeline.data.archives import archive_members, content_of
from pipeline.data.data_folders import amiss, check_is_folder, not_here, or_read_instead
from pipeline.data.download import download
from pipeline.data.file_kinds import fault, misfit
from pipeline.data.fingerprints import remembered
from pipeline.data.sources import HELD_OUT, Raw, Source, unofficial


@dataclass(frozen=True)
class Cifar:
    """CIFAR-10 or CIFAR-100. A data folder holds it as the official archive or as the folder unpacked from it."""

    title: str
    class_count: int
    address: str
    archive: str
    archive_sha256: str
    folder: str
    md5: dict[str, dict[str, str]]  # of each batch file, by split (train, test) and name; from torchvision
    label_key: str
    per_class: dict[str, int]  # images of each class, by split

    @property
    def counts(self) -> tuple[int, int]:
        """Count the training images besides those held out, and the test images."""
        train, test = (self.per_class[split] * self.class_count for split in ("train", "test"))
        return train - HELD_OUT, test

    @property
    def batches(self) -> dict[str, str]:
        """Map the name of every batch file to its md5."""
        return {name: md5 for files in self.md5.values() for name, md5 in files.items()}

    def source(self, folder: Path | None) -> Source:
        """Identify the images in a folder by content, official ones wherever they lie; None is the official archive."""
        if folder is None:
            return Source(self.archive_sha256, self.title, official=True)
        place = self.locate(folder)
        files = [place] if place.is_file() else [place / name for name in self.batches]
        fingerprint = remembered(files, lambda: self.fingerprint(place))
        return self.source(None) if fingerprint == self.archive_sha256 else unofficial(self.title, fingerprint)

    def fingerprint(self, place: Path) -> str:
        """Compute an archive's sha256 or, for a folder, its files'; official files have that of the official archive."""
        if place.is_file():
            return sha256(place)
        contents = [content_of(place / name) for name in self.batches]
        if [hashlib.md5(content).hexdigest() for content in contents] == list(self.batches.values()):
            return self.archive_sha256
        return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()

    def locate(self, folder: Path) -> Path:
        """Find the folder unpacked from the archive, or else the archive. Raises NotHere where there is neither."""
        check_is_folder(folder)
        if place := self.place_in(folder):
            return place
        wanted = (
            f"it must hold {self.archive} or {self.folder}/, the python version: get {self.address}, "
            "or name no folder, and it is downloaded"
        )
        raise not_here(self.title, folder, self.place_in, wanted, self.partly(folder))

    def place_in(self, folder: Path) -> Path | None:
        """Find the set in a folder: as that folder, in the folders that unpacking makes, or as the archive; None elsewhere."""
        for place in self.unpacked_folders(folder):
            if all((place / name).is_file() for name in self.batches):
                return place
        return folder / self.archive if (folder / self.archive).is_file() else None

    def unpacked_folders(self, folder: Path) -> list[Path]:
        """List where a folder may hold the batch files: some programs unpack into one more folder named like the archive."""
        stem = self.archive.removesuffix(".tar.gz")
        return [folder / self.folder, folder, folder / self.folder / self.folder, folder / stem / self.folder]

    def partly(self, folder: Path) -> str:
        """Say what hinders that the set is found: batch files that lack, or are no files; nothing where there is no part of it."""
        for place in self.unpacked_folders(folder):
            if place.name == self.folder and place.is_dir():
                faults = [fault for name in self.batches if (fault := misfit(place / name, "file"))]
                lacking = [name for name in self.batches if not os.path.lexists(place / name)]
                if lacking and len(lacking) < len(self.batches):
                    faults.append(f"{place} lacks {', '.join(lacking)}, so it was unpacked in part")
                if faults:
                    return "; ".join(faults)
        return amiss(folder / self.archive, folder / self.folder)

    def read(self, folder: Path | None, train: int | None, test: int | None) -> Raw:
        """Read all images, downloaded where folder is None; `train` and `test` are ignored, since `prepare` applies them."""
        place = self.locate(folder) if folder else download(self.address, self.archive_sha256)
        archive = place.parent / self.archive
        with or_read_instead(place, [archive] if place.is_dir() and archive.is_file() else []):
            if place.is_file():
                members = archive_members(place, [f"{self.folder}/{name}" for name in self.batches])
                contents = {name: members[f"{self.folder}/{name}"] for name in self.batches}
            else:
                contents = {name: content_of(place / name) for name in self.batches}
            return Raw(*self.decode(contents, "train", place), *self.decode(contents, "test", place))

    def decode(self, contents: dict[str, bytes], split: str, place: Path) -> tuple[np.ndarray, np.ndarray]:
        """Decode a split's images uint8 [N, 32, 32, 3] and labels int64 [N] from its batch files, and check all counts."""
        per_class = self.per_class[split]
        count = per_class * self.class_count // len(self.md5[split])
        parts = [self.batch(contents[name], count, f"{place} ({name})") for name in self.md5[split]]
        rows, labels = (np.concatenate(arrays) for arrays in zip(*parts))
        if not np.array_equal(np.sort(labels), np.repeat(np.arange(self.class_count), per_class)):
            raise UserError(
                f"{place} ({split}) does not hold {per_class} images of each of {self.class_count} classes: not {self.title}"
            )
        return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels

    def batch(self, content: bytes, count: int, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Decode a batch file to rows uint8 [count, 3072], channel-major, and labels int64 [count], and check both."""
        batch = unpickle(content, where)
        rows, labels = batch.get("data"), batch.get(self.label_key, [])
        if not isinstance(rows, np.ndarray) or not are_whole_numbers(labels):
            raise UserError(f"{where} holds no array of images, or labels that are no whole numbers: not {self.title}")
        if rows.shape != (count, 3072) or rows.dtype != np.uint8 or len(labels) != count:
            kind = self.label_key.replace("_", " ")
            raise UserError(
                f"{where} holds {rows.shape} {rows.dtype} and {len(labels)} {kind}, not {count} images: not {self.title}"
            )
        return rows, np.asarray(labels, dtype=np.int64)


def are_whole_numbers(labels: object) -> bool:
    """Tell whether labels are a list, or an array with one axis, of integers that fit int64."""
    if isinstance(labels, np.ndarray):
        return labels.ndim == 1 and labels.dtype.kind in "iu"
    return isinstance(labels, list) and all(type(label) is int and abs(label) < 2**63 for label in labels)


def unpickle(content: bytes, where: str) -> dict:
    """Unpickle the dictionary of a batch file safely. Raises UserError where it is damaged or something else."""
    try:
        value = untrusted_pickles.load(content)
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{where} is not a CIFAR batch file: {fault(content[:4096], error, 'a pickle')}") from error
    if not isinstance(value, dict):
        raise UserError(f"{where} is not a CIFAR batch file: it holds no dictionary, get it again")
    return value
