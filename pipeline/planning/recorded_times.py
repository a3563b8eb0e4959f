"""What records and evaluations say of the time they took. Imports no torch."""

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
    """One training: images trained in its epochs and the seconds of that; images passed over at an epoch's end, seconds of each.

    `interrupted`: ends whose seconds nobody knows, since the training was stopped and went on in their epoch.
    """

    device: Device
    images: int = 0
    seconds: float = 0.0
    passed: int = 0
    ends: list[float] = field(default_factory=list)
    interrupted: int = 0

    @property
    def spent(self) -> float:
        """Seconds of training, stops left out."""
        unknown = self.interrupted * statistics.median(self.ends) if self.ends else 0.0
        return self.seconds + sum(self.ends) + unknown


@dataclass(frozen=True)
class Pass:
    """One evaluation: its kind, images per second, and how many times longer the pass took that counts energy, where it is known."""

    device: Device
    kind: str
    rate: float
    energy: float | None


def timing(run: Run, entries: list[dict]) -> Timing | None:
    """The timing of a record; None where it has no epoch. The time between a stop and its `resume` counts for nothing, and that
    of several processes once for each of their devices.

    Raises UserError where it went on on another device, or does not say what its speed is told by.
    """
    if not any(entry["event"] == "epoch" for entry in entries):
        return None
    told, images = made_on(run, [entry["provenance"] for entry in entries if "provenance" in entry])
    before, stopped, processes = entries[0]["time"], False, 1
    for entry in entries:
        stopped |= entry["event"] == "resume"
        processes = entry.get("provenance", {}).get("processes", processes)
        if entry["event"] == "epoch":
            seconds = 0.0
            if entry["epoch"]:
                seconds = images / speed(run, entry["metrics"])
                told.images, told.seconds = told.images + images, told.seconds + processes * seconds
            if stopped:
                told.interrupted += 1
            else:
                told.ends.append(processes * (entry["time"] - before - seconds))
            stopped = False
        before = entry["time"]
    return told


def made_on(run: Run, provenances: list[dict]) -> tuple[Timing, int]:
    """An empty timing of a record's device, and the images of an epoch."""
    try:
        devices = {Device.told(one) for one in provenances}
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
    rate = metrics.get("images_per_second")
    if not isinstance(rate, int | float) or not 0 < rate < float("inf"):
        raise UserError(f"the record of {run.id} has an epoch whose images_per_second is {rate!r}: left out")
    return rate


def passes(campaign: Campaign, run: Run) -> list[Pass]:
    """Those of a run's evaluations. Raises UserError where their file is damaged."""
    path = campaign.results_file(run)
    if not path.exists():
        return []
    content = atomic_files.read_sealed(path, "device", "precision", "kernels", "evaluations")
    try:
        return list(passes_in(campaign, run, content))
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"{path} lacks what tells its speed ({error!r}): left out") from error


def passes_in(campaign: Campaign, run: Run, content: dict) -> Iterator[Pass]:
    """An evaluation's time is when it began, so the next one's tells how long it took: a pass that measures, one that counts
    energy, and one over held-out images where exits are declared.
    """
    device, own = Device.told(content | {"threads": run.threads}), campaign.evaluations_of(run)
    for evaluation, after in zip(own, [*own[1:], None]):
        if evaluation.probe:
            continue
        told, energy = content["evaluations"][evaluation.name], None
        images, rate = told["metrics"]["images"], told["metrics"]["images_per_second"]
        if after:
            took = content["evaluations"][after.name]["time"] - told["time"]
            energy = (took * rate - images - (HELD_OUT if evaluation.exits else 0)) / images
        yield Pass(device, training_kinds.pass_kind(evaluation), rate, energy)
