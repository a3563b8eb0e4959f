"""Read a finished campaign for figures, claims and the report: tables, a probe's metrics, arrays, images."""
# Tested in tests/pipeline/reporting/figures/test_figures.py

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.core import atomic_files
from pipeline.core.errors import UserError
from pipeline.data.prepared import Prepared, Split
from pipeline.evaluation.arrays import read_arrays
from pipeline.reporting.drawing.missing_data import MissingData

if TYPE_CHECKING:
    import pandas as pd


SIDE = 8  # tokens per side of an image
HIDDEN = 225  # grey (0 to 255) in place of images that may not be shown
Item = TypeVar("Item")


def table_file(campaign: Campaign, name: str) -> Path:
    """Find the file of a table of the campaign. Raises MissingData, a UserError, where there is none."""
    path = campaign.folder / "tables" / f"{name}.csv"
    if not path.exists():
        raise MissingData(f"{path} is missing: run snakemake, which makes it, or python -m pipeline.aggregate first")
    return path


def read_table(
    campaign: Campaign, name: str, *wanted: str, numbers: Iterable[str] = (), empty: bool = False, **options
) -> pd.DataFrame:
    """Read a table of the campaign, which must have the columns `wanted` and `numbers`, the latter as numbers.

    Raises MissingData where it is missing or damaged; one without rows is damaged, unless it may be `empty`.
    """
    import pandas as pd

    path = table_file(campaign, name)
    try:
        rows = pd.read_csv(path, **options)
        rows = rows.assign(**{key: pd.to_numeric(rows[key]) for key in numbers if key in rows})
        if rows.empty and not empty:
            raise ValueError("it has no line")
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise MissingData(f"{path} is damaged ({' '.join(str(error).split())}): delete it, and it is made again") from error
    if lacking := [column for column in (*wanted, *numbers) if column not in rows]:
        raise MissingData(f"{path} is damaged, it lacks {', '.join(lacking)}: delete it, and it is made again")
    return rows


def table(campaign: Campaign, name: str, evaluations: list[Evaluation]) -> pd.DataFrame:
    """Read the rows of a table (`readings`, `energy`) that belong to evaluations, in their order.

    Raises MissingData where an evaluation has no row.
    """
    path = table_file(campaign, name)
    all_rows = read_table(campaign, name, "evaluation_id", keep_default_na=False)
    place = {evaluation.id: i for i, evaluation in enumerate(evaluations)}
    rows = all_rows[all_rows.evaluation_id.isin(place)]
    lacking = [evaluation.id for evaluation in evaluations if evaluation.id not in set(rows.evaluation_id)]
    if lacking:
        raise MissingData(f"{path} has no lines of {', '.join(lacking)}: they are measured by evaluations that are no probes")
    return rows.sort_values("evaluation_id", key=lambda ids: ids.map(place), kind="stable").reset_index(drop=True)


def at_all_timesteps(readings: pd.DataFrame) -> pd.DataFrame:
    """Select each evaluation's row at the last timestep that it runs, no exits; titles say T where the training had another."""
    rows = readings[readings.exit == ""]
    rows = rows[rows.timesteps == rows.groupby("evaluation_id").timesteps.transform("max")]
    title_with_t = rows.title + " (T = " + rows.timesteps.astype(int).astype(str) + ")"
    return rows.assign(title=rows.title.where(rows.timesteps == rows.trained_timesteps, title_with_t))


def timesteps(readings: pd.DataFrame) -> dict[str, list[int]]:
    """List the timesteps of each evaluation's rows, without exits, by its name."""
    rows = readings[readings.exit == ""]
    return {name: sorted({int(t) for t in column}) for name, column in rows.groupby("evaluation", sort=False).timesteps}


def exits(readings: pd.DataFrame) -> dict[str, list[str]]:
    """List the exits of each evaluation's rows, by its name."""
    rows = readings[readings.exit != ""]
    return {name: list(dict.fromkeys(column)) for name, column in rows.groupby("evaluation", sort=False).exit}


def metrics_of(campaign: Campaign, evaluation: Evaluation, *wanted: str) -> dict:
    """Read the metrics of an evaluation or a probe: those `wanted`, or all. Raises MissingData where one is missing."""
    path = campaign.results_file(evaluation.run)
    try:
        metrics = atomic_files.read_sealed(path, "evaluations")["evaluations"][evaluation.name]["metrics"]
        return metrics if not wanted else {key: metrics[key] for key in wanted}
    except (UserError, KeyError, TypeError) as error:
        lacks = f"{path} lacks {', '.join(wanted) or 'the numbers'} of {evaluation.name}"
        raise MissingData(f"{lacks} ({error}): delete it, and it is measured again") from error


def arrays_of(campaign: Campaign, evaluation: Evaluation, *wanted: str) -> dict[str, np.ndarray]:
    """Read arrays of an evaluation (pipeline.evaluation.evaluate_run.arrays_of says which there are).

    Raises MissingData where one `wanted` is missing.
    """
    path = campaign.arrays_file(evaluation.run)
    if not path.exists():
        raise MissingData(f"{path} is missing: run snakemake, which makes it, or evaluate run {evaluation.run.id} first")
    arrays = read_arrays(path, evaluation.name, *wanted)
    if lacking := [name for name in wanted if name not in arrays]:
        raise MissingData(f"{evaluation.id} has no {', '.join(lacking)}: name an evaluation of a method that adapts tokens")
    return arrays


def test_images(campaign: Campaign, evaluation: Evaluation) -> Split:
    """Read an evaluation's test images as figures show them: grey where the declaration forbids to show them."""
    split = Prepared(evaluation.run.data.folder).split("test")
    if campaign.experiment.show_images:
        return split
    return replace(split, images=np.broadcast_to(np.uint8(HIDDEN), split.images.shape))


def about_images(campaign: Campaign) -> str:
    """Write the last sentence of the caption of a figure with images: why they are grey; empty where they are shown."""
    return "" if campaign.experiment.show_images else " Grey stands for the images, which are not passed on with these results."


def fates(campaign: Campaign, evaluation: Evaluation) -> np.ndarray:
    """Compute each token's fate in each block: uint8 [L, T, N, K0], 0 computed there, 1 merged away by then, 2 halted."""
    arrays = arrays_of(campaign, evaluation, "halt_block", "merge_block")
    halt, merge = arrays["halt_block"], arrays["merge_block"]
    block = np.arange(1, evaluation.run.network["depth"] + 1)[:, None, None, None]
    halted = (halt > 0) & (halt < block)
    merged = (merge > 0) & (merge <= block[:, 0])
    return np.where(merged[:, None], 1, np.where(halted, 2, 0)).astype(np.uint8)


def correct(campaign: Campaign, evaluation: Evaluation) -> np.ndarray:
    """Find the test images that the mean of all logits classifies right: bool [N]. Raises MissingData where there is none."""
    arrays = arrays_of(campaign, evaluation, "logits", "labels")
    right = arrays["logits"].mean(0, dtype=float).argmax(-1) == arrays["labels"]
    if not right.any():
        raise MissingData("no test image is classified correctly: train for longer")
    return right


def json_rows(table: pd.DataFrame) -> list[dict]:
    """Convert a table to rows for JSON, with None (null) where there is no number."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def seeds(counts: Iterable[int]) -> str:
    """Say how many seeds are behind what is drawn: "n = 3 seeds", or "n = 2 to 3 seeds"."""
    least, most = min(numbers := list(counts)), max(numbers)
    return f"n = {most if least == most else f'{least} to {most}'} seed{'s' if most > 1 else ''}"


def spread(values: list) -> dict:
    """Compute mean and sample standard deviation (None for one seed) over the first axis, the seeds, element by element."""
    by_seed = np.array(values)
    return {"mean": by_seed.mean(0).tolist(), "std": by_seed.std(0, ddof=1).tolist() if len(by_seed) > 1 else None}


def grouped(items: Iterable[Item], key: Callable[[Item], object]) -> dict[object, list[Item]]:
    """Group items by their key, keys in the order of first mention."""
    groups: dict[object, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def by_data(evaluations: list[Evaluation]) -> dict[str, list[Evaluation]]:
    """Group evaluations by their data set: a panel each."""
    return grouped(evaluations, lambda evaluation: evaluation.run.data.name)


def common_seeds(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Keep the evaluations of seeds that every declared evaluation has; all of them where no seed is common."""
    seeds = set.intersection(*({e.run.seed for e in same_name} for same_name in by_name(evaluations).values()))
    return [e for e in evaluations if e.run.seed in seeds] or evaluations


def by_name(evaluations: list[Evaluation]) -> dict[str, list[Evaluation]]:
    """Group evaluations by their declared name: its seeds together."""
    return grouped(evaluations, lambda evaluation: evaluation.name)
