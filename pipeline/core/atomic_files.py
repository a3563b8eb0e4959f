"""Write files whole or not at all, JSON among them, and read the JSON back."""

import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipeline.core.checksums import seal
from pipeline.core.errors import UserError


def read_json(path: Path, *keys: str) -> dict:
    """Read a JSON object and check that it has `keys`. Raises UserError where it can't be read or lacks one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read ({error}): delete it, and it is made again") from error
    if not isinstance(content, dict) or not set(keys) <= content.keys():
        raise UserError(f"{path} lacks {', '.join(keys)}: delete it, and it is made again")
    return content


def read_sealed(path: Path, *keys: str) -> dict:
    """Read a JSON file that `replace_sealed` wrote. Raises UserError where its content differs from its checksum."""
    content = read_json(path, "sha256", *keys)
    if content.pop("sha256") != seal(content):
        raise UserError(f"{path} is damaged (its checksum is of other numbers): delete it, and it is made again")
    return content


def replace_sealed(path: Path, content: dict) -> None:
    """Write JSON as `replace_json` does, with the sha256 of the content as its first key."""
    replace_json(path, {"sha256": seal(content)} | content)


def replace(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing: into a partial file beside it, which is then renamed."""
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_write(path: Path, keep: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` at the end of the block; where it can't be written whole, `path` stays as it was.

    The file replaced is kept as `keep`, where that is given. Raises OSError with the path.
    """
    with path_in_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(path)
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if keep and path.exists():
                os.replace(path, keep)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """Name the file or folder beside `path` in which this process writes its replacement; remove those of killed processes.

    The name holds the machine and the process id; only those of this machine whose process has ended are removed.
    """
    prefix = f".{path.name}.{platform.node()}."
    for neighbour in path.parent.iterdir():
        process_id = neighbour.name.removeprefix(prefix)
        if process_id.isdecimal() and not Path("/proc", process_id).exists():
            shutil.rmtree(neighbour) if neighbour.is_dir() else neighbour.unlink(missing_ok=True)
    return path.with_name(f"{prefix}{os.getpid()}")


@contextmanager
def path_in_errors(path: Path) -> Iterator[None]:
    """Add the path to an OSError of the block: the one for a full disk does not name its file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace_json(path: Path, content) -> None:
    """Write content as JSON, the whole file or nothing."""
    replace(path, json.dumps(content, indent=1) + "\n")
