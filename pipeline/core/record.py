"""A run's record: one JSON object a line, appended while it trains. It comes first; MLflow mirrors it."""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipeline.core.errors import UserError


class Record:
    """An append-only file of events. Each has `event`, `time` (seconds since 1970) and what belongs to it.

    `text` is all of it as it was written: what becomes of the file meanwhile changes nothing. Of several processes that keep
    the same record one `writes` it.
    """

    def __init__(self, path: Path, writes: bool = True):
        self.path, self.writes, self.text = path, writes, ""

    def append(self, event: str, **content) -> dict:
        entry = {"event": event, "time": round(time.time(), 3), **content}
        line = json.dumps(entry) + "\n"
        if self.writes:
            with named(self.path), self.path.open("a") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        self.text += line
        return entry

    def restore(self, text: str) -> None:
        """What a checkpoint holds of the record; what came after it is forgotten: those steps are taken again."""
        self.text = text
        if self.writes:
            replace(self.path, text)

    def entries(self) -> list[dict]:
        return [json.loads(line) for line in self.text.splitlines()]


def read(path: Path) -> list[dict]:
    """All events of a record. Raises UserError where a line is damaged."""
    return check(path.read_bytes().splitlines(), path)


def check(lines: list[bytes] | list[str], path: Path) -> list[dict]:
    """The events in the lines of a record that is in a file: first the start with its provenance, and each epoch with metrics."""
    entries: list[dict] = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(entry := json.loads(line.decode() if isinstance(line, bytes) else line))
            if (
                not isinstance(entry, dict)
                or not isinstance(entry.get("event"), str)
                or type(entry.get("time")) not in (int, float)
            ):
                raise ValueError("no event")
            if entry["event"] == "epoch" and not (type(entry.get("epoch")) is int and isinstance(entry.get("metrics"), dict)):
                raise ValueError("an epoch without its metrics")
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number}, is damaged ({error}): delete the file, and it is restored from the run's checkpoint, or git checkout brings it back"
            ) from error
    if not entries or entries[0]["event"] != "start" or not is_provenance(entries[0].get("provenance")):
        raise UserError(
            f"{path} does not begin with the start of a run and its provenance: delete it, and it is restored from the run's checkpoint, or git checkout brings it back"
        )
    return entries


def is_provenance(told) -> bool:
    """It has what pages and MLflow say of how a run was made."""
    kinds = {"git": dict, "versions": dict, "data": dict, "device": str, "kernels": str, "precision": str, "threads": int}
    return isinstance(told, dict) and all(isinstance(told.get(key), kind) for key, kind in kinds.items())


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


def seal(content: dict) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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
