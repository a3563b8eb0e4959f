"""Where images come from: what a data set's file says about its source, and safe ways to read an archive."""

import gzip
import hashlib
import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import UserError

DOWNLOADS = Path("data/downloads")
ATTEMPTS = 4  # of a download
HELD_OUT = 1000  # class-balanced training images that no run trains on; whatever is chosen is chosen on them


@dataclass(frozen=True)
class Source:
    fingerprint: str  # two sources with the same one hold the same images
    origin: str  # in words, for every table that shows numbers from it
    official: bool


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


def download(address: str, sha: str) -> Path:
    """The file behind an official address, checked, kept under data/downloads. Raises UserError where it can't be had."""
    import pooch

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
            content = io.BytesIO(compressed.read())  # to its end, where the checksum is
        with tarfile.open(fileobj=content) as archive:
            for member in archive:
                if member.isfile() and member.name in names:
                    found[member.name] = archive.extractfile(member).read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UserError(f"{path} can't be read ({error}): it is damaged or truncated, get it again") from error
    for name in names:
        if name not in found:
            raise UserError(f"{path} has no {name}: it is not the archive it is named after, or truncated")
    return found


class RestrictedUnpickler(pickle.Unpickler):
    """Reads arrays and plain values, and refuses any pickle that would call something else."""

    ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
    ALLOWED |= {(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")}

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return super().find_class(module, name)


def unpickle(content: bytes, where: str) -> dict:
    try:
        value = RestrictedUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{where} is not a CIFAR batch file ({error}): it is damaged or something else, get it again") from error
    if not isinstance(value, dict):
        raise UserError(f"{where} is not a CIFAR batch file: it holds no dictionary")
    return value
