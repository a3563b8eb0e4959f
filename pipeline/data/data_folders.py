"""Read which folders hold the data sets, as command line, Snakemake's config or $ATSNN_DATA name them, and find a set in them.

Several folders stand in a list or in one text with : between them, as in PATH; a set is read from the first that holds it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.data.file_kinds import entries, holdings, misfit
from pipeline.data.sources import NotHere, Source

HINT = "name a folder, several with : between them, or none to download the data sets"


def parse_folders(value: object, origin: str) -> list[Path]:
    """Read the folders that a value names, in full; none where it is None. Raises UserError where it is no text or list of texts.

    `origin` names the value in messages: "data", "ATSNN_DATA". A text is one folder where there is one of that name.
    """
    if value is None:
        return []
    texts = value if isinstance(value, list | tuple) else [value]
    for text in texts:
        if isinstance(text, os.PathLike):
            continue
        if not isinstance(text, str):
            kind = {bool: "yes or no", int: "a number", float: "a number", dict: "a mapping", list: "a list"}.get(type(text))
            raise UserError(f"{origin} is {text!r}, {kind or 'no text'}: {HINT}; where it is a folder's name, write ./ before it")
    folders = [full_path(part, origin) for text in texts for part in split(os.fspath(text))]
    if not folders:
        raise UserError(f"{origin} is empty: {HINT}")
    return list(dict.fromkeys(folders))


def split(text: str) -> list[str]:
    """Split a text at its colons, unless it is the name of a folder as a whole."""
    try:
        if os.path.exists(os.path.expanduser(text)):
            return [text]
    except ValueError:  # a character that no path has
        pass
    return [part.strip() for part in text.split(os.pathsep) if part.strip()]


def full_path(text: str, origin: str) -> Path:
    """Make a folder's path absolute, with ~ for a home folder. Raises UserError where it can be no path."""
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{origin} names {text!r}, which can be no folder ({error}): {HINT}") from error


def find(dataset, folders: list[Path]) -> tuple[Path | None, Source]:
    """Find the first folder that holds a data set, and the source there; without any folder, None and the official source.

    Raises UserError where a folder can't be read, or none of them holds the set.
    """
    if not folders:
        return None, dataset.source(None)
    missing: list[NotHere] = []
    for folder in folders:
        try:
            return folder, dataset.source(folder)
        except NotHere as error:
            missing.append(error)
        except OSError as error:
            place, reason = error.filename or folder, error.strerror or error
            raise UserError(f"{place} can't be read ({reason}): check its permissions, or name another data folder") from error
    if len(missing) == 1:
        raise missing[0]
    raise UserError(
        f"no {missing[0].title} in any of {len(folders)} folders ("
        + "; ".join(f"{error.folder}: {error.found}" for error in missing)
        + f"): {missing[0].wanted}"
    )


def check_is_folder(folder: Path) -> None:
    """Raise UserError for a data folder that is missing or no folder."""
    if folder.is_dir():
        return
    if folder.exists():
        raise UserError(f"data folder {folder} is a file: name the folder in which it lies, {folder.parent}")
    raise UserError(f"data folder {folder} does not exist: {HINT}")


def not_here(title: str, folder: Path, place_in: Callable[[Path], Path | None], wanted: str, found: str = "") -> NotHere:
    """Say that a folder does not hold a data set: where it lies instead, near by, or what the folder holds.

    `place_in(folder)` finds the set in a folder. `found` says what is known of this folder already.
    """
    below = [path for _, path in entries(folder) if os.path.isdir(path)]
    for near in [*below, *list(folder.parents)[:2]]:
        try:
            place = place_in(near)
        except OSError:  # a folder beside this one may be closed to us
            continue
        if place:
            return NotHere(title, folder, f"it lies in {place}", f"name {near}, or several folders with : between them")
    return NotHere(title, folder, found or holdings(folder), wanted)


def amiss(archive: Path, unpacked: Path) -> str:
    """Say what is wrong with what has the name of a set's archive, or of its folder, and does not hold it; nothing without any."""
    fault = misfit(unpacked, "folder") or misfit(archive, "file")
    if not fault and unpacked.is_dir():
        fault = f"{unpacked} is there, but {holdings(unpacked)}"
    return fault


@contextmanager
def or_read_instead(place: Path, others: list[Path]) -> Iterator[None]:
    """Add to a UserError about one place that another one holds the set too, and is read once the first is moved away."""
    try:
        yield
    except UserError as error:
        if not others:
            raise
        raise UserError(f"{error}; or move {place} away, and {others[0]} is read") from error
