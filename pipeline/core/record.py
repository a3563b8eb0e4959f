"""Write and read a run's record: one JSON object a line, appended while it trains. It is the original; MLflow mirrors it."""

import json
import os
import time
from pathlib import Path

from pipeline.core.atomic_files import path_in_errors, replace
from pipeline.core.errors import UserError


class Record:
    """An append-only file of events. Each has `event`, `time` (seconds since 1970) and its own fields.

    `text` is the whole record as it was written, whatever happens to the file meanwhile. Of several processes that keep the
    same record, the one with `writes` writes the file.
    """

    def __init__(self, path: Path, writes: bool = True):
        self.path, self.writes, self.text = path, writes, ""

    def append(self, event: str, **content) -> dict:
        """Add an event with the time, on disk when this returns, and return it."""
        entry = {"event": event, "time": round(time.time(), 3), **content}
        line = json.dumps(entry) + "\n"
        if self.writes:
            with path_in_errors(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        self.text += line
        return entry

    def restore(self, text: str) -> None:
        """Set the record back to the text that a checkpoint holds. Later events are dropped: their steps are taken again."""
        self.text = text
        if self.writes:
            replace(self.path, text)

    def entries(self) -> list[dict]:
        """Parse the events, in order."""
        return [json.loads(line) for line in self.text.splitlines()]


def read(path: Path) -> list[dict]:
    """Read all events of a record. Raises UserError where a line is damaged."""
    return check(path.read_bytes().splitlines(), path)


def check(lines: list[bytes] | list[str], path: Path) -> list[dict]:
    """Parse the lines of a record and check that it starts with its provenance and each epoch has metrics, else raise UserError.

    `path` is named in the error.
    """
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


def is_provenance(value) -> bool:
    """Tell whether a value has the provenance that pages and MLflow show, each part of its type."""
    kinds = {"git": dict, "versions": dict, "data": dict, "device": str, "kernels": str, "precision": str, "threads": int}
    return isinstance(value, dict) and all(isinstance(value.get(key), kind) for key, kind in kinds.items())
