"""Collect measured throughput by kind, on one device: from a campaign's records, else from throughput.json. Imports no torch.

A speed that is in neither is unknown, and no number stands for it.
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

REQUIRED_KEYS = ("device", "precision", "threads", "kernels", "gpu", "cores", "kinds")
HOUR = 3600  # seconds
POSITIVE_KEYS = ("trained", "passed", "energy", "weights_bytes", "checkpoint_bytes")


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
    """Locate a campaign's throughput.json."""
    return campaign.folder / "throughput.json"


def rates_of(campaign: Campaign, progress: dict[str, Progress], device_name: str | None = None) -> Rates:
    """Collect the throughput on one device: that of the records, else that of the file.

    `device_name`: a device's name, or a part of it that no other measured device has in its name. Raises UserError where it is
    neither, or where records are of several devices and it is not given.
    """
    timings, evaluation_passes, notes = read_records(campaign, progress)
    path = throughput_file(campaign)
    file_content = read_file(path) if path.exists() else None
    recorded_devices = list(dict.fromkeys([*(t.device for t in timings.values()), *(p.device for p in evaluation_passes)]))
    rates = Rates(choose_device(recorded_devices, file_content, device_name), notes=notes)
    rates.notes += [
        f"records of {device} are not used: its hours are others" for device in recorded_devices if device != rates.device
    ]
    if rates.device:
        device_timings = {key: t for key, t in timings.items() if t.device == rates.device}
        add_records(rates, campaign, device_timings, [p for p in evaluation_passes if p.device == rates.device])
    if file_content and Device.from_fields(file_content) == rates.device:
        add_file(rates, file_content)
    elif file_content:
        rates.notes.append(f"{path} is not used: it is of {Device.from_fields(file_content)}, whose hours are others")
    return rates


def read_records(campaign: Campaign, progress: dict[str, Progress]) -> tuple[dict[str, Timing], list[Pass], list[str]]:
    """Read timings by a run's id, the passes of evaluations, and notes on damaged files, which are left out."""
    timings, evaluation_passes, notes = {}, [], []
    for run in campaign.runs:
        try:
            if run_timing := timing(run, progress[run.id].entries):
                timings[run.id] = run_timing
            evaluation_passes += passes(campaign, run) if campaign.evaluations_of(run) else []
        except UserError as error:
            notes.append(str(error))
    return timings, evaluation_passes, notes


def choose_device(recorded: list[Device], file_content: dict | None, device_name: str | None) -> Device | None:
    """Choose the one device whose hours are given; None where nothing was measured. Raises UserError as `rates_of` does."""
    devices = list(dict.fromkeys([*recorded, *([Device.from_fields(file_content)] if file_content else [])]))
    names = "; ".join(map(str, devices)) or "none"
    if device_name is not None:
        named = [device for device in devices if device_name.lower() in str(device).lower()]
        devices = [device for device in named if device_name.lower() == str(device).lower()] or named
        if len(devices) != 1:
            raise UserError(
                f"{device_name!r} is a part of the names of {len(devices)} devices that were measured, not of one: {names}"
            )
    elif len(recorded) > 1:
        raise UserError(
            f"trainings were recorded on {len(recorded)} devices, whose hours are not the same: name one (DEVICE=...): {names}"
        )
    return devices[0] if devices else None


def add_records(rates: Rates, campaign: Campaign, timings: dict[str, Timing], evaluation_passes: list[Pass]) -> None:
    """Add the rates from the records of one device.

    A kind's rate is all images recorded of it over all their seconds, so that slow epochs count as long as they took.
    """
    timings_of_kind, timings_of_pass = defaultdict(list), defaultdict(list)
    rates.spent = {key: run_timing.spent / HOUR for key, run_timing in timings.items()}
    for run in campaign.runs:
        if run_timing := timings.get(run.id):
            timings_of_kind[training_kinds.kind_of(run)].append(run_timing)
            timings_of_pass[training_kinds.pass_of(run)].append(run_timing)
    for key, kind_timings in timings_of_kind.items():
        if images := sum(run_timing.images for run_timing in kind_timings):
            rates.trained[key] = images / sum(run_timing.seconds for run_timing in kind_timings)
    rates.ended, rates.passed = ends_of(timings_of_kind), ends_of(timings_of_pass)
    rates.recorded = len(rates.trained)
    rates_of_kind = defaultdict(list)
    for evaluation_pass in evaluation_passes:
        rates_of_kind[evaluation_pass.kind].append(evaluation_pass.rate)
    rates.passed |= {key: statistics.harmonic_mean(pass_rates) for key, pass_rates in rates_of_kind.items()}
    if energy_ratios := [evaluation_pass.energy for evaluation_pass in evaluation_passes if evaluation_pass.energy is not None]:
        rates.energy = statistics.median(energy_ratios)


def ends_of(timings_of_kind: dict[str, list[Timing]]) -> dict[str, float]:
    """Compute images per second at the ends of epochs, by kind: held-out and test images over the median of the seconds."""
    timings_with_ends = {
        key: [run_timing for run_timing in kind_timings if run_timing.ends] for key, kind_timings in timings_of_kind.items()
    }
    return {
        key: kind_timings[0].passed / statistics.median(second for run_timing in kind_timings for second in run_timing.ends)
        for key, kind_timings in timings_with_ends.items()
        if kind_timings
    }


def read_file(path: Path) -> dict:
    """Read throughput.json. Raises UserError where it is damaged."""
    content = read_json(path, *REQUIRED_KEYS)
    remedy = "delete it, and measure again: python -m pipeline.throughput"
    try:
        Device.from_fields(content)
        for entry in content["kinds"]:
            if not all(entry[key] is None or 0 < float(entry[key]) < float("inf") for key in POSITIVE_KEYS if key in entry):
                raise ValueError(f"a number of {entry['title']} is out of range")
            if not isinstance(entry["pass_kind"], str) or not isinstance(entry["trained_kind"], str | None):
                raise TypeError("a kind that is no name")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    return content


def add_file(rates: Rates, content: dict) -> None:
    """Add the rates and sizes of throughput.json that the records lack."""
    rates.file = content
    for entry in content["kinds"]:
        if entry["trained_kind"]:
            rates.trained.setdefault(entry["trained_kind"], entry["trained"])
            rates.sizes[entry["trained_kind"]] = entry["weights_bytes"], entry["checkpoint_bytes"]
        rates.passed.setdefault(entry["pass_kind"], entry["passed"])
    if rates.energy is None and content["kinds"]:
        rates.energy = statistics.median(entry["energy"] for entry in content["kinds"])
