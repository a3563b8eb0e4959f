"""Read files by their relative names, the same from a folder and from an untrusted zip archive, without unpacking it to disk."""
# Tested in tests/faults/test_untrusted_archives.py

import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.data.archives import check_member, content_of
from pipeline.data.file_kinds import fault, is_left_behind, start_of
from pipeline.data.fingerprints import files_below

LARGEST = 2**20  # bytes of a file, at most; a damaged or hostile archive may claim any number
AT_ONCE = 2**25  # bytes of an archive read in one call, at most: the list of TinyImageNet's members has half of that
UNPACKED = 2**30  # bytes of all files of an archive together, at most: TinyImageNet has 250 MB


@dataclass(frozen=True)
class Tree:
    """The files below a folder or in an archive at `place`."""

    place: Path
    names: list[str]  # sorted, with / between folders
    content: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """Read a file by its relative name. Raises UserError where it is missing or damaged."""
        try:
            return self.content(name)
        except UserError:
            raise
        except Exception as error:  # a damaged archive can raise anything
            raise UserError(f"{self.place}: {name} can't be read ({error}): it is missing or damaged, get it again") from error


@contextmanager
def open_tree(place: Path, folder: str) -> Iterator[Tree]:
    """Open the folder `place`, or the folder named `folder` in the zip archive `place`, without files that systems leave behind.

    Raises UserError for a bad archive.
    """
    if place.is_dir():
        names = sorted(name[len(str(place)) + 1 :] for name, _ in files_below(place))
        yield Tree(place, names, lambda name: content_of(place / name, LARGEST))
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(BoundedReader(io.FileIO(place)))
            archive = stack.enter_context(zipfile.ZipFile(file))
        except Exception as error:  # a damaged archive can raise anything
            raise UserError(f"{place} can't be read: {fault(start_of(place), error, 'a zip archive')}") from error
        members = list_members(archive, place, prefix_in(archive.namelist(), folder))
        names = sorted(name for name in members if not is_left_behind(name))
        yield Tree(place, names, lambda name: read_member(archive, members[name], place))


def prefix_in(names: list[str], folder: str) -> str:
    """Choose what the names of an archive's set begin with: its folder or, where it was packed anew, that twice or nothing."""
    prefixes = (f"{folder}/", f"{folder}/{folder}/", "")
    return next((p for p in prefixes if any(name.startswith(f"{p}train/") for name in names)), f"{folder}/")


class BoundedReader(io.BufferedReader):
    """A file that refuses large reads: an archive's list of members takes ten times its bytes in memory."""

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes. Raises OSError for more than AT_ONCE."""
        if size > AT_ONCE:
            raise OSError(f"it lists more members than have place in {AT_ONCE} bytes")
        return super().read(size)


def list_members(archive: zipfile.ZipFile, place: Path, prefix: str) -> dict[str, zipfile.ZipInfo]:
    """List an archive's files below a prefix, by relative name. Raises UserError for members that no honest archive has."""
    members, unpacked = {}, 0
    for info in archive.infolist():
        kind, name = stat.S_IFMT(info.external_attr >> 16), info.filename.removeprefix(prefix)
        is_repeated = info.filename.startswith(prefix) and name in members
        check_member(place, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR), is_repeated)
        if info.filename.startswith(prefix) and not info.is_dir():
            members[name] = info
            unpacked += min(info.file_size, LARGEST)
    if unpacked > UNPACKED:
        raise UserError(f"{place} claims {unpacked} bytes in all, more than {UNPACKED}: don't use this archive")
    return members


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path) -> bytes:
    """Read a member, no more of it than the size it claims. Raises UserError where it is too large or not packed with deflate.

    Only deflate can be unpacked with a bound.
    """
    if info.file_size > LARGEST:
        raise UserError(f"{place}: {info.filename} claims {info.file_size} bytes, more than {LARGEST}: don't use this archive")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{place}: {info.filename} is not packed with deflate: pack the folder again with an ordinary zip")
    with archive.open(info) as file:
        return file.read(info.file_size)
