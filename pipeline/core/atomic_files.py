"""Write files whole or not at all, JSON among them, and read what was written so."""

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
    """A JSON file that must have some keys. Raises UserError where it does not."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read ({error}): delete it, and it is made again") from error
    if not isinstance(content, dict) or not set(keys) <= content.keys():
        raise UserError(f"{path} lacks {', '.join(keys)}: delete it, and it is made again")
    return content


def read_sealed(path: Path, *keys: str) -> dict:
    """A JSON file that `replace_sealed` wrote. Raises UserError where another number stands in it than was written."""
    content = read_json(path, "sha256", *keys)
    if content.pop("sha256") != seal(content):
        raise UserError(f"{path} is damaged (its checksum is of other numbers): delete it, and it is made again")
    return content


def replace_sealed(path: Path, content: dict) -> None:
    """`replace_json`, with a checksum of the content among it."""
    replace_json(path, {"sha256": seal(content)} | content)


def replace(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing: beside its place, then renamed."""
    with written(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def written(path: Path, keep: Path | None = None) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end of the block, all of it or, where it can't be written, nothing.

    What stood there stays as `keep`, where that is given. Raises OSError with the path.
    """
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = beside(path)
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


def beside(path: Path) -> Path:
    """Where this process writes what is to take the place of `path`. What killed ones of this machine left there is cleared."""
    start = f".{path.name}.{platform.node()}."
    for left in path.parent.iterdir():
        number = left.name.removeprefix(start)
        if number.isdecimal() and not Path("/proc", number).exists():
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f"{start}{os.getpid()}")


@contextmanager
def named(path: Path) -> Iterator[None]:
    """A full disk is told without its file's name: an OSError of the block gets it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace_json(path: Path, content) -> None:
    replace(path, json.dumps(content, indent=1) + "\n")
