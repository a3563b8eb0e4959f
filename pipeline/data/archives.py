"""Read files of an untrusted folder or .tar.gz archive, within bounds and without writing to disk."""
# Tested in tests/faults/test_untrusted_archives.py

import gzip
import io
import tarfile
from pathlib import Path, PureWindowsPath

from pipeline.core.errors import UserError
from pipeline.data.file_kinds import fault, start_of

LARGEST = 2**29  # bytes of an unpacked .tar.gz of images, or of a file in it, at most: the largest set has 186 MB
MEMBERS = 1000  # of a .tar.gz, at most: each takes time and memory, and the sets have fewer than ten


def content_of(path: Path, largest: int = LARGEST) -> bytes:
    """Read a file of a data folder. Raises UserError where it is missing, no plain file, or has more than `largest` bytes.

    A pipe could block forever.
    """
    if not path.is_file():
        if path.is_dir():
            raise UserError(f"{path} is a folder, and must be a file: move it away, and unpack the set's archive again")
        if path.is_symlink():
            raise UserError(f"{path} can't be read: it is a link to {path.readlink()}, where no file is; bring that file back")
        raise UserError(f"{path} can't be read: it is {'no plain file' if path.exists() else 'missing'}; get the set again")
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise UserError(f"{path} can't be read ({error}): check its permissions, or name another data folder") from error
    if len(content) > largest:
        raise UserError(f"{path} has more than {largest} bytes: it is something else, get the set again")
    return content


def archive_members(path: Path, names: list[str]) -> dict[str, bytes]:
    """Read files of a .tar.gz archive, by name, without writing to disk. Raises UserError where it is damaged or lacks one."""
    contents: dict[str, bytes] = {}
    held: list[str] = []
    try:
        with gzip.open(path) as compressed:
            content = io.BytesIO(compressed.read(LARGEST + 1))  # to its end, where the checksum is
        if content.getbuffer().nbytes > LARGEST:
            raise OSError(f"it unpacks to more than {LARGEST} bytes")
        with tarfile.open(fileobj=content, mode="r:") as archive:  # "r:" takes no second compression, which would have no bound
            for count, member in enumerate(archive):
                if count == MEMBERS:
                    raise OSError(f"it holds more than {MEMBERS} files")
                check_member(path, member.name, (member.isreg() and not member.issparse()) or member.isdir(), is_repeated=False)
                if member.isfile():
                    name = member.name.removeprefix("./")
                    held.append(name)
                    if name in names:
                        check_member(path, name, is_plain=True, is_repeated=name in contents)
                        contents[name] = archive.extractfile(member).read()
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise UserError(f"{path} can't be read: {fault(start_of(path), error, 'packed with gzip')}") from error
    for name in names:
        if name not in contents:
            some = ", ".join(held[:3]) or "nothing"
            raise UserError(f"{path} has no {name} but {some}: it is not the archive it is named after, or truncated")
    return contents


def check_member(archive: Path, name: str, is_plain: bool, is_repeated: bool) -> None:
    """Raise UserError for a member that no honest archive has: outside its folder, repeated, or no plain file or folder."""
    path = PureWindowsPath(name)  # splits at both \ and /
    if path.anchor or ".." in path.parts:
        raise UserError(f"{archive} holds {name!r}, a path out of its folder: don't use this archive")
    if not is_plain:
        raise UserError(f"{archive} holds {name!r}, a link or device, or a file with holes: don't use this archive")
    if is_repeated:
        raise UserError(f"{archive} holds {name!r} twice: don't use this archive")
