"""Read files out of a folder or a .tar.gz archive that nobody vouches for, within bounds, without writing to disk."""

import gzip
import io
import tarfile
from pathlib import Path, PureWindowsPath

from pipeline.core.errors import UserError

LARGEST = 2**29  # bytes that a .tar.gz of images may unpack to, or a file of it have: the largest set has 186 MB
MEMBERS = 1000  # that it may hold: each takes time and memory, and the sets have fewer than ten


def content_of(path: Path, largest: int = LARGEST) -> bytes:
    """A file of a data folder: not a pipe, which can be waited for without end, nor one that is too large."""
    if not path.is_file():
        raise UserError(f"{path} can't be read: it is missing, or a folder, pipe or device; get the set again")
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise UserError(f"{path} has more than {largest} bytes: it is something else, get the set again")
    return content


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
