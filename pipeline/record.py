"""A run's record: one JSON object a line, appended while it trains. It comes first; MLflow mirrors it."""

import json
import os
import time
from pathlib import Path

from pipeline.errors import UserError


class Record:
    """An append-only file of events. Each has `event`, `time` (seconds since 1970) and what belongs to it."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, event: str, **content) -> dict:
        entry = {"event": event, "time": round(time.time(), 3), **content}
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return entry

    def keep(self, lines: int) -> None:
        """Forget what came after a checkpoint: those steps are taken again."""
        kept = self.path.read_text().splitlines(keepends=True)[:lines] if self.path.exists() else []
        replace(self.path, "".join(kept))

    def entries(self) -> list[dict]:
        return read(self.path)


def read(path: Path) -> list[dict]:
    """All events of a record. Raises UserError where a line is damaged."""
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}, is damaged ({error}): delete the file, and it is restored from the run's checkpoint"
            ) from error
    return entries


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({error}): delete it, and it is made again") from error


def replace(path: Path, text: str) -> None:
    """Write a whole file or nothing: beside its place, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def replace_json(path: Path, content) -> None:
    replace(path, json.dumps(content, indent=1) + "\n")
