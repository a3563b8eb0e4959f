"""Measured throughput by kind, on one device: from what a campaign recorded, else from throughput.json. Imports no torch.

What neither has is not known, and no number stands for it.
"""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.core.atomic_files import read_json
from pipeline.core.errors import UserError
from pipeline.planning import training_kinds
from pipeline.planning.progress import Progress
from pipeline.planning.recorded_times import Pass, Timing, passes, timing
from pipeline.planning.training_kinds import Device

ABOUT = ("device", "precision", "threads", "kernels", "gpu", "cores", "kinds")
HOUR = 3600  # seconds
NUMBERS = ("trained", "passed", "energy", "weights_bytes", "checkpoint_bytes")


@dataclass
class Rates:
    """Images per second by kind: of training, of the end of a training's epoch, of a pass of an evaluation.

    energy: how many times longer a pass takes that counts energy. sizes: bytes of final weights and of a checkpoint, by training.
    spent: hours of each run, by its id, as its record has them.
    """

    device: Device | None = None
    trained: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    passed: dict[str, float] = field(default_factory=dict)
    energy: float | None = None
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    recorded: int = 0  # kinds of training whose speed is from records
    file: dict | None = None  # throughput.json, where it is of this device
    notes: list[str] = field(default_factory=list)


def throughput_file(campaign: Campaign) -> Path:
    return campaign.folder / "throughput.json"


def rates_of(campaign: Campaign, progress: dict[str, Progress], wanted: str | None = None) -> Rates:
    """Throughput on one device: that of the records, else that of the file.

    Raises UserError where records are of several devices and `wanted`, a part of a device's name, names none of them.
    """
    timings, evaluated, notes = recorded(campaign, progress)
    path = throughput_file(campaign)
    content = read_file(path) if path.exists() else None
    seen = list(dict.fromkeys([*(told.device for told in timings.values()), *(one.device for one in evaluated)]))
    rates = Rates(chosen(seen, content, wanted), notes=notes)
    rates.notes += [f"records of {one} are not used: its hours are others" for one in seen if one != rates.device]
    if rates.device:
        own = {key: told for key, told in timings.items() if told.device == rates.device}
        add_records(rates, campaign, own, [one for one in evaluated if one.device == rates.device])
    if content and Device.told(content) == rates.device:
        add_file(rates, content)
    elif content:
        rates.notes.append(f"{path} is not used: it is of {Device.told(content)}, whose hours are others")
    return rates


def recorded(campaign: Campaign, progress: dict[str, Progress]) -> tuple[dict[str, Timing], list[Pass], list[str]]:
    """Timings by a run's id, the passes of evaluations, and what is damaged and so left out."""
    timings, evaluated, notes = {}, [], []
    for run in campaign.runs:
        try:
            if told := timing(run, progress[run.id].entries):
                timings[run.id] = told
            evaluated += passes(campaign, run) if campaign.evaluations_of(run) else []
        except UserError as error:
            notes.append(str(error))
    return timings, evaluated, notes


def chosen(seen: list[Device], content: dict | None, wanted: str | None) -> Device | None:
    """The one device whose hours are told; nothing where nothing was measured."""
    known = list(dict.fromkeys([*seen, *([Device.told(content)] if content else [])]))
    names = "; ".join(map(str, known)) or "none"
    if wanted is not None:
        known = [device for device in known if wanted.lower() in str(device).lower()]
        if len(known) != 1:
            raise UserError(f"{wanted!r} is a part of the names of {len(known)} devices that were measured, not of one: {names}")
    elif len(seen) > 1:
        raise UserError(
            f"trainings were recorded on {len(seen)} devices, whose hours are not the same: name one (DEVICE=...): {names}"
        )
    return known[0] if known else None


def add_records(rates: Rates, campaign: Campaign, timings: dict[str, Timing], evaluated: list[Pass]) -> None:
    """All that was recorded of a kind gives its rate: images over seconds, so that slow epochs count as long as they took."""
    of_kind, of_pass = defaultdict(list), defaultdict(list)
    rates.spent = {key: told.spent / HOUR for key, told in timings.items()}
    for run in campaign.runs:
        if told := timings.get(run.id):
            of_kind[training_kinds.kind_of(run)].append(told)
            of_pass[training_kinds.pass_of(run)].append(told)
    for key, own in of_kind.items():
        if images := sum(told.images for told in own):
            rates.trained[key] = images / sum(told.seconds for told in own)
    rates.ended, rates.passed = ends_of(of_kind), ends_of(of_pass)
    rates.recorded = len(rates.trained)
    by_kind = defaultdict(list)
    for one in evaluated:
        by_kind[one.kind].append(one.rate)
    rates.passed |= {key: statistics.harmonic_mean(own) for key, own in by_kind.items()}
    if known := [one.energy for one in evaluated if one.energy is not None]:
        rates.energy = statistics.median(known)


def ends_of(timings: dict[str, list[Timing]]) -> dict[str, float]:
    """Images per second at the ends of epochs: held-out and test images over the median of the seconds."""
    known = {key: [told for told in own if told.ends] for key, own in timings.items()}
    return {
        key: own[0].passed / statistics.median(second for told in own for second in told.ends)
        for key, own in known.items()
        if own
    }


def read_file(path: Path) -> dict:
    """throughput.json. Raises UserError where it is damaged."""
    content = read_json(path, *ABOUT)
    remedy = "delete it, and measure again: python -m pipeline.throughput"
    try:
        Device.told(content)
        for entry in content["kinds"]:
            if not all(entry[key] is None or 0 < float(entry[key]) < float("inf") for key in NUMBERS if key in entry):
                raise ValueError(f"a number of {entry['title']} is out of range")
            if not isinstance(entry["pass_kind"], str) or not isinstance(entry["trained_kind"], str | None):
                raise TypeError("a kind that is no name")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    return content


def add_file(rates: Rates, content: dict) -> None:
    """What the records don't tell."""
    rates.file = content
    for entry in content["kinds"]:
        if entry["trained_kind"]:
            rates.trained.setdefault(entry["trained_kind"], entry["trained"])
            rates.sizes[entry["trained_kind"]] = entry["weights_bytes"], entry["checkpoint_bytes"]
        rates.passed.setdefault(entry["pass_kind"], entry["passed"])
    if rates.energy is None and content["kinds"]:
        rates.energy = statistics.median(entry["energy"] for entry in content["kinds"])
