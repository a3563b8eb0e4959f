"""Remember what was computed from files for as long as their names, sizes and times stay the same."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.core.atomic_files import replace
from pipeline.core.errors import UserError

FINGERPRINTS = Path("data/fingerprints")


def remembered(paths: list[Path], compute: Callable[[], object]):
    """What `compute` finds out about files and folders, which JSON must be able to hold.

    It is kept under data/fingerprints for as long as the names, sizes and times of all files stay the same. A first
    line with its own digest tells what is damaged, and that is computed again.
    """
    listing = sorted((name, stat.st_size, stat.st_mtime_ns) for path in paths for name, stat in listed(path.resolve()))
    kept = FINGERPRINTS / hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    try:
        digest, _, text = kept.read_bytes().partition(b"\n")
        if digest.decode("latin1") == hashlib.sha256(text).hexdigest():
            return json.loads(text)
    except FileNotFoundError:
        pass
    found = compute()
    text = json.dumps(found)
    replace(kept, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return found


def listed(path: Path) -> list[tuple[str, os.stat_result]]:
    """All files at or below a path, by their full names."""
    try:
        return list(walk(str(path), set())) if path.is_dir() else [(str(path), path.stat())]
    except OSError as error:
        raise UserError(f"{path} can't be read ({error}): check its permissions, or name another data folder") from error


def walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result]]:
    """Links are followed, but to no folder twice: they could lead round in circles."""
    place = os.stat(folder)
    if (place.st_dev, place.st_ino) in seen:
        raise OSError(f"links lead to {folder!r} twice")
    seen.add((place.st_dev, place.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from walk(entry.path, seen)
            else:
                yield entry.path, entry.stat()
