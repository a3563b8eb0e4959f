"""A run's record: one JSON object a line, appended while it trains. It comes first; MLflow mirrors it."""

import json
import os
import time
from pathlib import Path

from pipeline.core.atomic_files import named, replace
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
