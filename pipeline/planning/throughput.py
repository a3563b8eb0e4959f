"""Measure how fast this machine does each kind of training and of evaluation pass, before anything is trained.

The command is pipeline.throughput, whose text says how it is used and by which rules.
"""

import io
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation, Run
from pipeline.campaign.titles import data_title, method_title
from pipeline.core import provenance
from pipeline.core.atomic_files import replace_json
from pipeline.core.catalogue import Catalogue
from pipeline.core.checksums import digest
from pipeline.data.identity import Data
from pipeline.evaluation import gpu_locks
from pipeline.planning import training_kinds
from pipeline.planning.measured_rates import read_file, throughput_file

SMALL_BATCH = 8  # images a step on a processor, where no batch is given
STEPS = {"gpu": 40, "processor": 2}  # timed ones, by device


@dataclass(frozen=True)
class Noise(Data):
    """A prepared data set of noise in the folder `place`."""

    place: str = ""

    @property
    def folder(self) -> Path:
        """Locate the prepared images."""
        return Path(self.place) / self.id


@dataclass(frozen=True)
class Workload:
    """Steps of a measurement. batch: images a step, None: the recipe's. steps: timed, after `warm_up` ones that are not."""

    batch: int | None
    steps: int
    warm_up: int
    workers: int


def measure_all(campaign: Campaign, batch: int | None, steps: int | None, again: bool, say=print) -> Path:
    """Measure the kinds that are not measured yet, and write throughput.json after each; returns its path.

    The commit and versions in it are those of the last call.
    """
    from pipeline.evaluation.device import open_device

    experiment = campaign.experiment
    compute = open_device(experiment.precision, experiment.threads)
    gpu = compute.device.type == "cuda"
    device = training_kinds.Device.of(compute.name, compute.precision, experiment.threads, compute.kernels)
    header = {"scale": experiment.scale} | device.fields | {"gpu": gpu, "cores": cores()}
    header |= {"git": provenance.git_state(), "versions": provenance.versions()}
    file = throughput_file(campaign)
    entries = {} if again else read_entries(file, device)
    trained, passed = kinds_to_measure(campaign)
    workload = settings(experiment.loader_workers, gpu, batch, steps)
    for key, subject in (trained | passed).items():
        if key not in entries:
            say(f"{name_of(campaign.catalogue, subject)} ...")
            entries[key] = measure_kind(campaign, subject, workload)
            say(f"    {entry_text(entries[key])}")
        replace_json(file, header | {"kinds": [entries[key] for key in (trained | passed) if key in entries]})
    return file


def cores() -> int:
    """Count the cores that this process may use, where the system tells; else those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settings(workers: int, gpu: bool, batch: int | None, steps: int | None) -> Workload:
    """Choose batch and steps. Workers prepare two batches each ahead: so many steps pass before it shows how long they take."""
    workers = workers if gpu else 0
    timed = steps or STEPS["gpu" if gpu else "processor"]
    return Workload(batch or (None if gpu else SMALL_BATCH), timed, 1 + 2 * workers, workers)


def read_entries(file: Path, device: training_kinds.Device) -> dict[str, dict]:
    """Read the entries of throughput.json that are of this device, by kind."""
    content = read_file(file) if file.exists() else None
    if not content or training_kinds.Device.from_fields(content) != device:
        return {}
    return {entry["trained_kind"] or entry["pass_kind"]: entry for entry in content["kinds"]}


def kinds_to_measure(campaign: Campaign) -> tuple[dict[str, Run], dict[str, Evaluation]]:
    """Choose a run of each kind of training, and an evaluation of each kind of pass that no training has."""
    trained = {training_kinds.kind_of(run): run for run in reversed(campaign.runs)}
    training_passes = {training_kinds.pass_of(run) for run in trained.values()}
    passed = {
        training_kinds.pass_kind(evaluation): evaluation
        for evaluation in reversed(campaign.evaluations)
        if not evaluation.probe and training_kinds.pass_kind(evaluation) not in training_passes
    }
    return dict(reversed(trained.items())), dict(reversed(passed.items()))


def name_of(catalogue: Catalogue, subject: Run | Evaluation) -> str:
    """Name the data set, network, method and timesteps of a run or an evaluation."""
    run = getattr(subject, "run", subject)
    options, timesteps = subject.options, getattr(subject, "timesteps", run.network["timesteps"])
    return f"{data_title(catalogue, run.data.name)} {run.architecture} {method_title(catalogue, run.method, options)}, T = {timesteps}"


def entry_text(entry: dict) -> str:
    """Write the speeds of an entry in words."""
    trained = f"trains {entry['trained']:.3g}, " if entry["trained"] else ""
    return f"{trained}passes over {entry['passed']:.3g} images/s, {1 / entry['energy']:.2g} of that where energy is counted"


def measure_kind(campaign: Campaign, subject: Run | Evaluation, workload: Workload) -> dict:
    """Measure a kind's entry in throughput.json: images per second, and the bytes of what a training keeps."""
    run = getattr(subject, "run", subject)
    training = subject is run
    batch = workload.batch or run.recipe["batch"]
    entry = {"title": name_of(campaign.catalogue, subject), "trained_kind": training_kinds.kind_of(run) if training else None}
    entry |= {"pass_kind": training_kinds.pass_of(run) if training else training_kinds.pass_kind(subject)}
    entry |= {"batch": batch, "declared_batch": run.recipe["batch"], "steps": workload.steps, "workers": workload.workers}
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_on_noise(campaign, run, workload, batch, Path(folder))
        entry["trained"] = significant(trained_per_second(trainer, workload)) if training else None
        network = trainer.network if training else network_of(subject, trainer)
        passed, energy = passed_per_second(trainer, network, batch)
        entry |= {"passed": significant(passed), "energy": significant(passed / energy)}
        entry |= sizes(trainer) if training else {}
    return entry


def trainer_on_noise(campaign: Campaign, run: Run, workload: Workload, batch: int, folder: Path):
    """Create the Trainer of a run, from the seed, on as many images of noise as its steps need."""
    from pipeline.training.checkpoint import Position
    from pipeline.training.trainer import Trainer

    data = noise(
        campaign.catalogue,
        run.data,
        batch * (workload.warm_up + workload.steps),
        pass_size(batch) * max(2, workload.steps // 4),
        folder,
    )
    trainer = Trainer(campaign, replace(run, data=data, recipe=run.recipe | {"batch": batch}, parent=None), say=lambda line: None)
    trainer.position = Position()
    return trainer


def noise(catalogue: Catalogue, data: Data, train: int, test: int, folder: Path) -> Noise:
    """Prepare a data set of noise, with the image size and classes of another."""
    import numpy as np

    from pipeline.data.prepared import prepare
    from pipeline.data.sources import HELD_OUT, Raw

    dataset = catalogue.datasets[data.name]
    random = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        return random.integers(0, 256, (count, dataset.IMAGE_SIZE, dataset.IMAGE_SIZE, 3), dtype=np.uint8)

    def labels(count: int) -> np.ndarray:
        return np.arange(count) % dataset.CLASS_COUNT

    noise_data = Noise(data.name, digest([train, test]), "noise", False, train, test, str(folder))
    raw = Raw(images(train + HELD_OUT), labels(train + HELD_OUT), images(test), labels(test))
    prepare(raw, noise_data, title=dataset.TITLE, classes=dataset.CLASS_COUNT)
    return noise_data


def trained_per_second(trainer, workload: Workload) -> float:
    """Measure images per second of training steps, including the time that they wait for their images."""
    trainer.schedule.step(0)
    trainer.network.train()
    device, dtype, count, start = trainer.compute.device, trainer.compute.dtype, 0, 0.0
    for number, (images, target) in enumerate(trainer.batches.epoch(0, 0, workload.workers), start=1):
        trainer.step(images.to(device, dtype), target.to(device, dtype))
        count += len(images)
        if number == workload.warm_up:
            synchronize(trainer)
            count, start = 0, time.monotonic()
    synchronize(trainer)
    return count / (time.monotonic() - start)


def synchronize(trainer) -> None:
    """Wait until a GPU has computed what it was given."""
    trainer.finite_totals()


def network_of(evaluation: Evaluation, trainer):
    """Build the network of an evaluation, on the trainer's device."""
    from pipeline.evaluation.build_network import backbone_for, network_for

    backbone = backbone_for(trainer.campaign.catalogue, evaluation.run, evaluation.timesteps).to(
        trainer.compute.device, trainer.compute.dtype
    )
    return network_for(trainer.campaign.catalogue, evaluation.run.method, evaluation.options, backbone)


def pass_size(batch: int) -> int:
    """Compute the batch of a pass, in images: the training's, at most pipeline.data.evaluation_batches.BATCH."""
    from pipeline.data.evaluation_batches import BATCH

    return min(batch, BATCH)


def passed_per_second(trainer, network, batch: int) -> tuple[float, float]:
    """Measure images per second of a pass that measures and of one that counts energy; each is run once before."""
    from pipeline.data.evaluation_batches import evaluation_batches
    from pipeline.evaluation.energy import measure_energy
    from pipeline.evaluation.measure import measure

    compute_options = {"device": trainer.compute.device, "dtype": trainer.compute.dtype, "arithmetic": trainer.compute.autocast}
    rates = []
    for measure_pass in (measure, measure_energy):
        for _ in range(2):
            start = time.monotonic()
            measure_pass(network, evaluation_batches(trainer.data, "test", pass_size(batch)), **compute_options)
            seconds = time.monotonic() - start
        rates.append(len(trainer.data.split("test")) / seconds)
    return rates[0], rates[1]


def sizes(trainer) -> dict:
    """Measure the bytes of the final weights and of a checkpoint, whose optimizer has taken steps."""
    import torch
    from safetensors.torch import save

    buffer, state = io.BytesIO(), trainer.backbone.state_dict()
    torch.save({"model": state, "optimizer": trainer.optimizer.state_dict()}, buffer)
    weights = save({name: x.detach().cpu().contiguous() for name, x in state.items()})
    return {"weights_bytes": len(weights), "checkpoint_bytes": buffer.tell()}


def significant(number: float) -> float:
    """Round to four significant digits."""
    return float(f"{number:.4g}")


def measure_on_own_gpu(campaign: Campaign, batch: int | None, steps: int | None, again: bool) -> Path:
    """Run `measure_all` on a GPU that no other job of this machine has."""
    gpu_locks.take(1, print)
    return measure_all(campaign, batch, steps, again, lambda line: print(line, flush=True))
