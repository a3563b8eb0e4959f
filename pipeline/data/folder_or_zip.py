"""Files by their relative names, the same out of a folder and out of a zip archive, of which nothing is written to disk."""

import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.data.archives import content_of, refuse
from pipeline.data.fingerprints import listed

LARGEST = 2**20  # bytes of a file that is read; a damaged or hostile archive may claim any number
AT_ONCE = 2**25  # bytes of an archive: the list of TinyImageNet's members has half of that
UNPACKED = 2**30  # bytes of all files of an archive together: TinyImageNet has 250 MB


@dataclass(frozen=True)
class Tree:
    place: Path
    names: list[str]  # sorted, with / between folders
    content: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        try:
            return self.content(name)
        except UserError:
            raise
        except Exception as error:  # a damaged archive can raise anything
            raise UserError(f"{self.place}: {name} can't be read ({error}): it is missing or damaged, get it again") from error


@contextmanager
def opened(place: Path, folder: str) -> Iterator[Tree]:
    """The files below a folder, or below the folder of that name in an archive."""
    if place.is_dir():
        names = sorted(name[len(str(place)) + 1 :] for name, _ in listed(place))
        yield Tree(place, names, lambda name: content_of(place / name, LARGEST))
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Bounded(io.FileIO(place)))
            archive = stack.enter_context(zipfile.ZipFile(file))
        except Exception as error:  # a damaged archive can raise anything
            raise UserError(f"{place} can't be read ({error}): it is damaged or truncated, get it again") from error
        found = members(archive, place, f"{folder}/")
        yield Tree(place, sorted(found), lambda name: member(archive, found[name], place))


class Bounded(io.BufferedReader):
    """A file of which no large part is read at once: an archive's list of members, each of which takes ten times its bytes."""

    def read(self, size: int = -1) -> bytes:
        if size > AT_ONCE:
            raise OSError(f"it lists more members than have place in {AT_ONCE} bytes")
        return super().read(size)


def members(archive: zipfile.ZipFile, place: Path, prefix: str) -> dict[str, zipfile.ZipInfo]:
    """An archive's files below a prefix. Raises UserError for members that no honest archive has."""
    found, unpacked = {}, 0
    for info in archive.infolist():
        kind, name = stat.S_IFMT(info.external_attr >> 16), info.filename.removeprefix(prefix)
        refuse(place, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR), info.filename.startswith(prefix) and name in found)
        if info.filename.startswith(prefix) and not info.is_dir():
            found[name] = info
            unpacked += min(info.file_size, LARGEST)
    if unpacked > UNPACKED:
        raise UserError(f"{place} claims {unpacked} bytes in all, more than {UNPACKED}: don't use this archive")
    return found


def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path) -> bytes:
    """A member's content, no more of it than it claims: only deflate can be unpacked with a bound."""
    if info.file_size > LARGEST:
        raise UserError(f"{place}: {info.filename} claims {info.file_size} bytes, more than {LARGEST}: don't use this archive")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{place}: {info.filename} is not packed with deflate: pack the folder again with an ordinary zip")
    with archive.open(info) as file:
        return file.read(info.file_size)
