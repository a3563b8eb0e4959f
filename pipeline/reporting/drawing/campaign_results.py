"""What figures, claims and the report read of a finished campaign: tables, a probe's numbers, arrays."""

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
HIDDEN = 225  # the grey that stands for images which are not shown
Item = TypeVar("Item")


def table_file(campaign: Campaign, name: str) -> Path:
    """Where a table of the campaign is. Raises MissingData, a UserError, where it is not."""
    path = campaign.folder / "tables" / f"{name}.csv"
    if not path.exists():
        raise MissingData(f"{path} is missing: run snakemake, which makes it, or python -m pipeline.aggregate first")
    return path


def read_table(
    campaign: Campaign, name: str, *wanted: str, numbers: Iterable[str] = (), empty: bool = False, **options
) -> pd.DataFrame:
    """A table of the campaign, the columns `wanted` and of `numbers` among others.

    Raises MissingData where it is missing or damaged, as it is without a line, unless it may be `empty`.
    """
    import pandas as pd

    path = table_file(campaign, name)
    try:
        lines = pd.read_csv(path, **options)
        lines = lines.assign(**{key: pd.to_numeric(lines[key]) for key in numbers if key in lines})
        if lines.empty and not empty:
            raise ValueError("it has no line")
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise MissingData(f"{path} is damaged ({' '.join(str(error).split())}): delete it, and it is made again") from error
    if lacking := [column for column in (*wanted, *numbers) if column not in lines]:
        raise MissingData(f"{path} is damaged, it lacks {', '.join(lacking)}: delete it, and it is made again")
    return lines


def table(campaign: Campaign, name: str, evaluations: list[Evaluation]) -> pd.DataFrame:
    """The lines of a table of the campaign (`readings`, `energy`) that belong to evaluations, in their order."""
    path = table_file(campaign, name)
    lines = read_table(campaign, name, "evaluation_id", keep_default_na=False)
    place = {evaluation.id: i for i, evaluation in enumerate(evaluations)}
    own = lines[lines.evaluation_id.isin(place)]
    lacking = [evaluation.id for evaluation in evaluations if evaluation.id not in set(own.evaluation_id)]
    if lacking:
        raise MissingData(f"{path} has no lines of {', '.join(lacking)}: they are measured by evaluations that are no probes")
    return own.sort_values("evaluation_id", key=lambda ids: ids.map(place), kind="stable").reset_index(drop=True)


def at_all_timesteps(readings: pd.DataFrame) -> pd.DataFrame:
    """Each evaluation at all the timesteps that it runs, no exits; titles say which, where they are not those it was trained with."""
    own = readings[readings.exit == ""]
    own = own[own.timesteps == own.groupby("evaluation_id").timesteps.transform("max")]
    at = own.title + " (T = " + own.timesteps.astype(int).astype(str) + ")"
    return own.assign(title=own.title.where(own.timesteps == own.trained_timesteps, at))


def timesteps(readings: pd.DataFrame) -> dict[str, list[int]]:
    """The timesteps of each evaluation's readings, without exits."""
    own = readings[readings.exit == ""]
    return {name: sorted({int(t) for t in of}) for name, of in own.groupby("evaluation", sort=False).timesteps}


def exits(readings: pd.DataFrame) -> dict[str, list[str]]:
    """The exits of each evaluation."""
    own = readings[readings.exit != ""]
    return {name: list(dict.fromkeys(of)) for name, of in own.groupby("evaluation", sort=False).exit}


def metrics_of(campaign: Campaign, evaluation: Evaluation, *wanted: str) -> dict:
    """The numbers that an evaluation or a probe left, those of `wanted` among them."""
    path = campaign.results_file(evaluation.run)
    try:
        metrics = atomic_files.read_sealed(path, "evaluations")["evaluations"][evaluation.name]["metrics"]
        return metrics if not wanted else {key: metrics[key] for key in wanted}
    except (UserError, KeyError, TypeError) as error:
        lacks = f"{path} lacks {', '.join(wanted) or 'the numbers'} of {evaluation.name}"
        raise MissingData(f"{lacks} ({error}): delete it, and it is measured again") from error


def arrays_of(campaign: Campaign, evaluation: Evaluation, *wanted: str) -> dict[str, np.ndarray]:
    """The arrays of an evaluation, all that are `wanted` (pipeline.evaluation.evaluate_run.arrays_of says which there are)."""
    path = campaign.arrays_file(evaluation.run)
    if not path.exists():
        raise MissingData(f"{path} is missing: run snakemake, which makes it, or evaluate run {evaluation.run.id} first")
    found = read_arrays(path, evaluation.name, *wanted)
    if lacking := [name for name in wanted if name not in found]:
        raise MissingData(f"{evaluation.id} has no {', '.join(lacking)}: name an evaluation of a method that adapts tokens")
    return found


def test_images(campaign: Campaign, evaluation: Evaluation) -> Split:
    """The test images of an evaluation as figures show them: grey where the declaration says that they are not to be shown."""
    split = Prepared(evaluation.run.data.folder).split("test")
    if campaign.experiment.show_images:
        return split
    return replace(split, images=np.broadcast_to(np.uint8(HIDDEN), split.images.shape))


def about_images(campaign: Campaign) -> str:
    """The last sentence of a figure's caption that shows images."""
    return "" if campaign.experiment.show_images else " Grey stands for the images, which are not passed on with these results."


def fates(campaign: Campaign, evaluation: Evaluation) -> np.ndarray:
    """What became of each token in each block: uint8 [L, T, N, K0], 0 computed there, 1 merged away by then, 2 halted."""
    arrays = arrays_of(campaign, evaluation, "halt_block", "merge_block")
    halt, merge = arrays["halt_block"], arrays["merge_block"]
    block = np.arange(1, evaluation.run.network["depth"] + 1)[:, None, None, None]
    halted = (halt > 0) & (halt < block)
    merged = (merge > 0) & (merge <= block[:, 0])
    return np.where(merged[:, None], 1, np.where(halted, 2, 0)).astype(np.uint8)


def correct(campaign: Campaign, evaluation: Evaluation) -> np.ndarray:
    """Which test images the mean of all logits classifies right: bool [N], not all of them False."""
    arrays = arrays_of(campaign, evaluation, "logits", "labels")
    right = arrays["logits"].mean(0, dtype=float).argmax(-1) == arrays["labels"]
    if not right.any():
        raise MissingData("no test image is classified correctly: train for longer")
    return right


def plain(table: pd.DataFrame) -> list[dict]:
    """Its lines as JSON has them: null where there is no number."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def seeds(counts: Iterable[int]) -> str:
    """How many seeds are behind what is drawn, in words."""
    few, most = min(found := list(counts)), max(found)
    return f"n = {most if few == most else f'{few} to {most}'} seed{'s' if most > 1 else ''}"


def spread(values: list) -> dict:
    """Mean and sample standard deviation (None of one seed) over the first axis, the seeds, element by element."""
    found = np.array(values)
    return {"mean": found.mean(0).tolist(), "std": found.std(0, ddof=1).tolist() if len(found) > 1 else None}


def grouped(items: Iterable[Item], key: Callable[[Item], object]) -> dict[object, list[Item]]:
    """Items that have the same key together, keys in the order of first mention."""
    groups: dict[object, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def by_data(evaluations: list[Evaluation]) -> dict[str, list[Evaluation]]:
    """Evaluations by their data set: a panel each."""
    return grouped(evaluations, lambda evaluation: evaluation.run.data.name)


def common_seeds(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Those of the seeds that every declared evaluation has; all of them where there are none."""
    seeds = set.intersection(*({e.run.seed for e in own} for own in by_name(evaluations).values()))
    return [e for e in evaluations if e.run.seed in seeds] or evaluations


def by_name(evaluations: list[Evaluation]) -> dict[str, list[Evaluation]]:
    """The seeds of each declared evaluation."""
    return grouped(evaluations, lambda evaluation: evaluation.name)
