"""Save and read the arrays of a run's evaluations, one file for all: figures are drawn and numbers computed again from them."""

from pathlib import Path

import numpy as np

from pipeline.core.atomic_files import atomic_write
from pipeline.core.errors import UserError


def save_arrays(path: Path, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    """Write the arrays of each evaluation by name, the whole file or nothing; an array's key in it is <evaluation>/<name>."""
    with atomic_write(path) as file:
        np.savez_compressed(file, **{f"{name}/{key}": value for name, by_key in arrays.items() for key, value in by_key.items()})


def read_arrays(path: Path, evaluation: str, *wanted: str) -> dict[str, np.ndarray]:
    """Read the arrays of one evaluation, by name: those of `wanted` that it has. Raises UserError where the file is damaged."""
    try:
        with np.load(path) as file:
            return {name: file[f"{evaluation}/{name}"] for name in wanted if f"{evaluation}/{name}" in file.files}
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{path} can't be read ({error}): delete it, and it is measured again") from error
