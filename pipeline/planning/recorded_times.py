"""Compute times of trainings and evaluations from their records and results. Imports no torch."""
# Tested in tests/pipeline/planning/test_plan.py

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.core import atomic_files
from pipeline.core.errors import UserError
from pipeline.data.sources import HELD_OUT
from pipeline.planning import training_kinds
from pipeline.planning.training_kinds import Device


@dataclass
class Timing:
    """Times of one training: images trained and the seconds they took; images passed over at an epoch's end, seconds of each end.

    `interrupted`: ends whose seconds are unknown, since the training was stopped and went on in their epoch.
    """

    device: Device
    images: int = 0
    seconds: float = 0.0
    passed: int = 0
    ends: list[float] = field(default_factory=list)
    interrupted: int = 0

    @property
    def spent(self) -> float:
        """Sum the seconds of training, stops left out; an interrupted end counts as the median of the others."""
        unknown = self.interrupted * statistics.median(self.ends) if self.ends else 0.0
        return self.seconds + sum(self.ends) + unknown


@dataclass(frozen=True)
class Pass:
    """One evaluation: its kind, images per second, and how many times longer its energy pass took; None where that is unknown."""

    device: Device
    kind: str
    rate: float
    energy: float | None


def timing(run: Run, entries: list[dict]) -> Timing | None:
    """Compute the timing of a training from its record; None where that has no epoch.

    The time between a stop and its `resume` is not counted; that of several processes is counted once for each of their devices.
    Raises UserError where the training went on on another device, or its record lacks the device, the images or their rate.
    """
    if not any(entry["event"] == "epoch" for entry in entries):
        return None
    run_timing, epoch_images = empty_timing(run, [entry["provenance"] for entry in entries if "provenance" in entry])
    last_time, stopped, processes = entries[0]["time"], False, 1
    for entry in entries:
        stopped |= entry["event"] == "resume"
        processes = entry.get("provenance", {}).get("processes", processes)
        if entry["event"] == "epoch":
            seconds = 0.0
            if entry["epoch"]:
                seconds = epoch_images / speed(run, entry["metrics"])
                run_timing.images, run_timing.seconds = run_timing.images + epoch_images, run_timing.seconds + processes * seconds
            if stopped:
                run_timing.interrupted += 1
            else:
                run_timing.ends.append(processes * (entry["time"] - last_time - seconds))
            stopped = False
        last_time = entry["time"]
    return run_timing


def empty_timing(run: Run, provenances: list[dict]) -> tuple[Timing, int]:
    """Create an empty timing on a record's device, and count the images of an epoch. Raises UserError as `timing` does."""
    try:
        devices = {Device.from_fields(provenance) for provenance in provenances}
        counts, batch = provenances[0]["data"]["counts"], run.recipe["batch"]
        images, passed = counts["train"] // batch * batch, counts["test"] + HELD_OUT
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the record of {run.id} does not say on what it was trained ({error!r}): its speed is left out"
        ) from error
    if len(devices) > 1:
        raise UserError(f"the record of {run.id} is of several devices, whose hours are not the same: its speed is left out")
    return Timing(devices.pop(), passed=passed), images


def speed(run: Run, metrics: dict) -> float:
    """Read images per second from an epoch's metrics. Raises UserError where it is not a positive, finite number."""
    rate = metrics.get("images_per_second")
    if not isinstance(rate, int | float) or not 0 < rate < float("inf"):
        raise UserError(f"the record of {run.id} has an epoch whose images_per_second is {rate!r}: left out")
    return rate


def passes(campaign: Campaign, run: Run) -> list[Pass]:
    """Read the passes of a run's evaluations; none where they have no file. Raises UserError where it is damaged."""
    path = campaign.results_file(run)
    if not path.exists():
        return []
    content = atomic_files.read_sealed(path, "device", "precision", "kernels", "evaluations")
    try:
        return list(passes_in(campaign, run, content))
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"{path} lacks what tells its speed ({error!r}): left out") from error


def passes_in(campaign: Campaign, run: Run, content: dict) -> Iterator[Pass]:
    """Compute the passes of a run's evaluations from the content of their file.

    An evaluation's time is when it began, so the next one's tells how long it took: a pass that measures, one that counts energy,
    and one over held-out images where exits are declared.
    """
    device, evaluations = Device.from_fields(content | {"threads": run.threads}), campaign.evaluations_of(run)
    for evaluation, next_evaluation in zip(evaluations, [*evaluations[1:], None]):
        if evaluation.probe:
            continue
        results, energy = content["evaluations"][evaluation.name], None
        images, rate = results["metrics"]["images"], results["metrics"]["images_per_second"]
        if next_evaluation:
            seconds = content["evaluations"][next_evaluation.name]["time"] - results["time"]
            energy = (seconds * rate - images - (HELD_OUT if evaluation.exits else 0)) / images
        yield Pass(device, training_kinds.pass_kind(evaluation), rate, energy)
