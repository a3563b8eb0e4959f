"""How fast each kind of training and of pass is here, measured before anything is trained.

python -m pipeline.throughput --scale paper trains every kind of the campaign for a few steps, as pipeline.train does, on images of
noise, and passes over some as pipeline.evaluate does, and keeps images per second in results/paper/throughput.json, from which
python -m pipeline.plan tells the hours. The weights are as the seed draws them: what halts in trained networks does not halt here.

What was measured on this device before is kept, unless --again is given; what was measured on another is replaced. On a GPU a
batch is the recipe's and images come from the declared loader workers; on a processor it is small, and one process prepares them.
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

SMALL_BATCH = 8  # on a processor, where nothing else is said
STEPS = {"gpu": 40, "processor": 2}  # that are timed


@dataclass(frozen=True)
class Noise(Data):
    """A prepared data set of noise that lies elsewhere."""

    place: str = ""

    @property
    def folder(self) -> Path:
        return Path(self.place) / self.id


@dataclass(frozen=True)
class How:
    """batch, None: the recipe's; steps that are timed, after so many that are not."""

    batch: int | None
    steps: int
    warm_up: int
    workers: int


def measure_all(campaign: Campaign, batch: int | None, steps: int | None, again: bool, say=print) -> Path:
    """Measure what is not measured yet, and write the file after each; its commit and versions are those of the last call."""
    from models import native
    from pipeline.evaluation.device import open_device

    experiment = campaign.experiment
    compute = open_device(experiment.precision, experiment.threads)
    gpu = compute.device.type == "cuda"
    device = training_kinds.Device.of(compute.name, compute.precision, experiment.threads, native.describe())
    about = {"scale": experiment.scale} | device.fields | {"gpu": gpu, "cores": cores()}
    about |= {"git": provenance.git_state(), "versions": provenance.versions()}
    file = throughput_file(campaign)
    known = {} if again else already(file, device)
    trained, passed = wanted(campaign)
    how = settings(experiment.loader_workers, gpu, batch, steps)
    for key, subject in (trained | passed).items():
        if key not in known:
            say(f"{name_of(campaign.catalogue, subject)} ...")
            known[key] = measured(campaign, subject, how)
            say(f"    {told(known[key])}")
        replace_json(file, about | {"kinds": [known[key] for key in (trained | passed) if key in known]})
    return file


def cores() -> int:
    """That this process may use, where the system tells; else that there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settings(workers: int, gpu: bool, batch: int | None, steps: int | None) -> How:
    """Workers prepare two batches each ahead: so many steps pass before it shows how long they take."""
    workers = workers if gpu else 0
    timed = steps or STEPS["gpu" if gpu else "processor"]
    return How(batch or (None if gpu else SMALL_BATCH), timed, 1 + 2 * workers, workers)


def already(file: Path, device: training_kinds.Device) -> dict[str, dict]:
    """What a file has of this device, by kind."""
    content = read_file(file) if file.exists() else None
    if not content or training_kinds.Device.told(content) != device:
        return {}
    return {entry["trained_kind"] or entry["pass_kind"]: entry for entry in content["kinds"]}


def wanted(campaign: Campaign) -> tuple[dict[str, Run], dict[str, Evaluation]]:
    """A run of each kind of training, and an evaluation of each kind of pass that no training has."""
    trained = {training_kinds.kind_of(run): run for run in reversed(campaign.runs)}
    own = {training_kinds.pass_of(run) for run in trained.values()}
    passed = {
        training_kinds.pass_kind(e): e
        for e in reversed(campaign.evaluations)
        if not e.probe and training_kinds.pass_kind(e) not in own
    }
    return dict(reversed(trained.items())), dict(reversed(passed.items()))


def name_of(catalogue: Catalogue, subject: Run | Evaluation) -> str:
    run = getattr(subject, "run", subject)
    options, timesteps = subject.options, getattr(subject, "timesteps", run.network["timesteps"])
    return f"{data_title(catalogue, run.data.name)} {run.architecture} {method_title(catalogue, run.method, options)}, T = {timesteps}"


def told(entry: dict) -> str:
    trained = f"trains {entry['trained']:.3g}, " if entry["trained"] else ""
    return f"{trained}passes over {entry['passed']:.3g} images/s, {1 / entry['energy']:.2g} of that where energy is counted"


def measured(campaign: Campaign, subject: Run | Evaluation, how: How) -> dict:
    """What the file says of a kind: images per second, and bytes of what a training keeps."""
    run = getattr(subject, "run", subject)
    training = subject is run
    batch = how.batch or run.recipe["batch"]
    entry = {"title": name_of(campaign.catalogue, subject), "trained_kind": training_kinds.kind_of(run) if training else None}
    entry |= {"pass_kind": training_kinds.pass_of(run) if training else training_kinds.pass_kind(subject)}
    entry |= {"batch": batch, "declared_batch": run.recipe["batch"], "steps": how.steps, "workers": how.workers}
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_on_noise(campaign, run, how, batch, Path(folder))
        entry["trained"] = significant(trained_per_second(trainer, how)) if training else None
        network = trainer.network if training else network_of(subject, trainer)
        passed, energy = passed_per_second(trainer, network, batch)
        entry |= {"passed": significant(passed), "energy": significant(passed / energy)}
        entry |= sizes(trainer) if training else {}
    return entry


def trainer_on_noise(campaign: Campaign, run: Run, how: How, batch: int, folder: Path):
    """The Trainer of a run, from the seed, on as many images of noise as its steps need."""
    from pipeline.training.checkpoint import Position
    from pipeline.training.trainer import Trainer

    data = noise(
        campaign.catalogue, run.data, batch * (how.warm_up + how.steps), pass_size(batch) * max(2, how.steps // 4), folder
    )
    trainer = Trainer(campaign, replace(run, data=data, recipe=run.recipe | {"batch": batch}, parent=None), say=lambda line: None)
    trainer.position = Position()
    return trainer


def noise(catalogue: Catalogue, data: Data, train: int, test: int, folder: Path) -> Noise:
    """A prepared data set of noise, in the size of another."""
    import numpy as np

    from pipeline.data.prepared import prepare
    from pipeline.data.sources import HELD_OUT, Raw

    module = catalogue.datasets[data.name]
    random = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        return random.integers(0, 256, (count, module.IMAGE_SIZE, module.IMAGE_SIZE, 3), dtype=np.uint8)

    def labels(count: int) -> np.ndarray:
        return np.arange(count) % module.CLASS_COUNT

    made = Noise(data.name, digest([train, test]), "noise", False, train, test, str(folder))
    raw = Raw(images(train + HELD_OUT), labels(train + HELD_OUT), images(test), labels(test))
    prepare(raw, made, title=module.TITLE, classes=module.CLASS_COUNT)
    return made


def trained_per_second(trainer, how: How) -> float:
    """Images per second of training steps, what they wait for their images included."""
    trainer.schedule.step(0)
    trainer.network.train()
    device, dtype, count, start = trainer.compute.device, trainer.compute.dtype, 0, 0.0
    for number, (images, target) in enumerate(trainer.batches.epoch(0, 0, how.workers), start=1):
        trainer.step(images.to(device, dtype), target.to(device, dtype))
        count += len(images)
        if number == how.warm_up:
            finish(trainer)
            count, start = 0, time.monotonic()
    finish(trainer)
    return count / (time.monotonic() - start)


def finish(trainer) -> None:
    """Wait for what a GPU still computes."""
    trainer.finite_totals()


def network_of(evaluation: Evaluation, trainer):
    """What an evaluation passes over images with."""
    from pipeline.evaluation.build_network import backbone_for, network_for

    backbone = backbone_for(trainer.campaign.catalogue, evaluation.run, evaluation.timesteps).to(
        trainer.compute.device, trainer.compute.dtype
    )
    return network_for(trainer.campaign.catalogue, evaluation.run.method, evaluation.options, backbone)


def pass_size(batch: int) -> int:
    """Images of a batch of a pass."""
    from pipeline.data.evaluation_batches import BATCH

    return min(batch, BATCH)


def passed_per_second(trainer, network, batch: int) -> tuple[float, float]:
    """Images per second of pipeline.evaluation.measure's pass, and of pipeline.evaluation.energy's; each is run once before."""
    from pipeline.data.evaluation_batches import evaluation_batches
    from pipeline.evaluation.energy import measure_energy
    from pipeline.evaluation.measure import measure

    place = {"device": trainer.compute.device, "dtype": trainer.compute.dtype, "arithmetic": trainer.compute.autocast}
    found = []
    for run in (measure, measure_energy):
        for _ in range(2):
            start = time.monotonic()
            run(network, evaluation_batches(trainer.data, "test", pass_size(batch)), **place)
            seconds = time.monotonic() - start
        found.append(len(trainer.data.split("test")) / seconds)
    return found[0], found[1]


def sizes(trainer) -> dict:
    """Bytes of the final weights and of a checkpoint, whose optimizer has taken steps."""
    import torch
    from safetensors.torch import save

    buffer, state = io.BytesIO(), trainer.backbone.state_dict()
    torch.save({"model": state, "optimizer": trainer.optimizer.state_dict()}, buffer)
    weights = save({name: x.detach().cpu().contiguous() for name, x in state.items()})
    return {"weights_bytes": len(weights), "checkpoint_bytes": buffer.tell()}


def significant(number: float) -> float:
    return float(f"{number:.4g}")


def measure_on_own_gpu(campaign: Campaign, batch: int | None, steps: int | None, again: bool) -> Path:
    """`measure_all`, on a GPU that no other job of this machine has."""
    gpu_locks.take(1, print)
    return measure_all(campaign, batch, steps, again, lambda line: print(line, flush=True))
