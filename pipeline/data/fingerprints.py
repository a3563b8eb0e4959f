"""Cache results computed from files for as long as the files' names, sizes and times stay the same."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.core.atomic_files import replace
from pipeline.core.errors import UserError
from pipeline.data.file_kinds import is_left_behind

FINGERPRINTS = Path("data/fingerprints")


def remembered(paths: list[Path], compute: Callable[[], object]):
    """Return the result of `compute` about files and folders, from the cache where it has it. JSON must be able to hold it.

    It is kept under data/fingerprints for as long as the names, sizes and times of all files stay the same. The first line of a
    cache file is the sha256 of the rest; a damaged one is computed again.
    """
    listing = sorted((name, stat.st_size, stat.st_mtime_ns) for path in paths for name, stat in files_below(path.resolve()))
    cache_file = FINGERPRINTS / hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    try:
        digest, _, text = cache_file.read_bytes().partition(b"\n")
        if digest.decode("latin1") == hashlib.sha256(text).hexdigest():
            return json.loads(text)
    except FileNotFoundError:
        pass
    result = compute()
    text = json.dumps(result)
    replace(cache_file, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return result


def files_below(path: Path) -> list[tuple[str, os.stat_result]]:
    """List all files at or below a path that no system left behind: full name and stat. Raises UserError for a closed folder."""
    try:
        return list(walk(str(path), set())) if path.is_dir() else [(str(path), path.stat())]
    except OSError as error:
        raise UserError(f"{path} can't be read ({error}): check its permissions, or name another data folder") from error


def walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files below a folder, following links. Raises OSError where they lead to a folder twice: they may be circular.

    What systems leave behind is not looked at. A link that leads nowhere is a file here, and fails when it is read.
    """
    folder_stat = os.stat(folder)
    if (folder_stat.st_dev, folder_stat.st_ino) in seen:
        raise OSError(f"links lead to {folder!r} twice")
    seen.add((folder_stat.st_dev, folder_stat.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_left_behind(entry.name):
                continue
            try:
                is_folder, entry_stat = entry.is_dir(), entry.stat()
            except OSError:
                if not entry.is_symlink():
                    raise
                is_folder, entry_stat = False, entry.stat(follow_symlinks=False)
            if is_folder:
                yield from walk(entry.path, seen)
            else:
                yield entry.path, entry_stat
