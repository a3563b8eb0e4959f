"""The arrays of a run's evaluations, one file for all of them: what figures are drawn from and numbers computed again."""

from pathlib import Path

import numpy as np

from pipeline.core.atomic_files import written
from pipeline.core.errors import UserError


def save_arrays(path: Path, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    """Write all or nothing; an array's key is <evaluation>/<name>."""
    with written(path) as file:
        np.savez_compressed(file, **{f"{name}/{key}": value for name, kept in arrays.items() for key, value in kept.items()})


def read_arrays(path: Path, evaluation: str, *wanted: str) -> dict[str, np.ndarray]:
    """The arrays of one evaluation, those of `wanted` that it has. Raises UserError where the file is damaged."""
    try:
        with np.load(path) as file:
            return {name: file[f"{evaluation}/{name}"] for name in wanted if f"{evaluation}/{name}" in file.files}
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{path} can't be read ({error}): delete it, and it is measured again") from error
