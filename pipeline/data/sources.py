"""Where images come from: what a data set's file says about its source, and safe ways to read an archive."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.record import replace

DOWNLOADS = Path("data/downloads")
FINGERPRINTS = Path("data/fingerprints")
ATTEMPTS = 4  # of a download
LARGEST = 2**29  # bytes that a .tar.gz of images may unpack to, or a file of it have: the largest set has 186 MB
MEMBERS = 1000  # that it may hold: each takes time and memory, and the sets have fewer than ten
HELD_OUT = 1000  # class-balanced training images that no run trains on; whatever is chosen is chosen on them


@dataclass(frozen=True)
class Source:
    fingerprint: str  # two sources with the same one hold the same images
    origin: str  # in words, for every table that shows numbers from it
    official: bool


def unofficial(title: str, fingerprint: str, share: str = "") -> Source:
    """Images that are not known to be the official ones; `share` says how many of them there are, where it is not all."""
    parts = ["a copy", "not the official archive", *([share] if share else []), f"sha256 {fingerprint[:8]}"]
    return Source(fingerprint, f"{title} ({', '.join(parts)})", official=False)


@dataclass(frozen=True)
class Raw:
    """Images as a source has them: uint8 [N, H, W, 3], labels int64 [N], masks bool [N, H, W] where the set has them."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    train_masks: np.ndarray | None = None
    test_masks: np.ndarray | None = None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered(paths: list[Path], compute: Callable[[], object]):
    """What `compute` finds out about files and folders, which JSON must be able to hold.

    It is kept under data/fingerprints for as long as the names, sizes and times of all files stay the same. A first
    line with its own digest tells what is damaged, and that is computed again.
    """
    listing = sorted((name, stat.st_size, stat.st_mtime_ns) for path in paths for name, stat in listed(path.resolve()))
    kept = FINGERPRINTS / hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    try:
        digest, _, text = kept.read_bytes().partition(b"\n")
        if digest.decode("latin1") == hashlib.sha256(text).hexdigest():
            return json.loads(text)
    except FileNotFoundError:
        pass
    found = compute()
    text = json.dumps(found)
    replace(kept, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return found


def listed(path: Path) -> list[tuple[str, os.stat_result]]:
    """All files at or below a path, by their full names."""
    try:
        return list(walk(str(path), set())) if path.is_dir() else [(str(path), path.stat())]
    except OSError as error:
        raise UserError(f"{path} can't be read ({error}): check its permissions, or name another data folder") from error


def walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result]]:
    """Links are followed, but to no folder twice: they could lead round in circles."""
    place = os.stat(folder)
    if (place.st_dev, place.st_ino) in seen:
        raise OSError(f"links lead to {folder!r} twice")
    seen.add((place.st_dev, place.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from walk(entry.path, seen)
            else:
                yield entry.path, entry.stat()


def content_of(path: Path, largest: int = LARGEST) -> bytes:
    """A file of a data folder: not a pipe, which can be waited for without end, nor one that is too large."""
    if not path.is_file():
        raise UserError(f"{path} can't be read: it is missing, or a folder, pipe or device; get the set again")
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise UserError(f"{path} has more than {largest} bytes: it is something else, get the set again")
    return content


def download(address: str, sha: str) -> Path:
    """The file behind an official address, checked, kept under data/downloads. Raises UserError where it can't be had."""
    import pooch

    if not address.startswith("https://"):
        raise UserError(f"{address} is no https:// address: nothing is downloaded from it")
    name = address.rsplit("/", 1)[-1]
    fetcher = pooch.create(
        path=DOWNLOADS, base_url="", registry={name: f"sha256:{sha}"}, urls={name: address}, retry_if_failed=ATTEMPTS - 1
    )
    try:
        return Path(fetcher.fetch(name, progressbar=False))
    except (OSError, ValueError) as error:
        raise UserError(
            f"could not download {address}: {error}; check the network, or name a folder that holds {name} "
            "(--config data=FOLDER, or the environment variable ATSNN_DATA)"
        ) from error


def archive_members(path: Path, names: list[str]) -> dict[str, bytes]:
    """The content of some files of a .tar.gz archive, without writing anything to disk."""
    found = {}
    try:
        with gzip.open(path) as compressed:
            content = io.BytesIO(compressed.read(LARGEST + 1))  # to its end, where the checksum is
        if content.getbuffer().nbytes > LARGEST:
            raise OSError(f"it unpacks to more than {LARGEST} bytes")
        with tarfile.open(fileobj=content, mode="r:") as archive:  # not packed once more, which had no bound
            for count, member in enumerate(archive):
                if count == MEMBERS:
                    raise OSError(f"it holds more than {MEMBERS} files")
                refuse(path, member.name, (member.isreg() and not member.issparse()) or member.isdir(), member.name in found)
                if member.isfile() and member.name in names:
                    found[member.name] = archive.extractfile(member).read()
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise UserError(f"{path} can't be read ({error}): it is damaged or truncated, get it again") from error
    for name in names:
        if name not in found:
            raise UserError(f"{path} has no {name}: it is not the archive it is named after, or truncated")
    return found


def refuse(archive: Path, name: str, plain: bool, again: bool) -> None:
    """Raises UserError for a member that no honest archive has: `plain` is a file or folder, `again` a name that was there."""
    path = PureWindowsPath(name)  # which takes both \ and / for what stands between folders
    if path.anchor or ".." in path.parts:
        raise UserError(f"{archive} holds {name!r}, a path out of its folder: don't use this archive")
    if not plain:
        raise UserError(f"{archive} holds {name!r}, a link or device, or a file with holes: don't use this archive")
    if again:
        raise UserError(f"{archive} holds {name!r} twice: don't use this archive")
