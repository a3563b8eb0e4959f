"""A small campaign that was measured, is under way or has ended as a test says, and what its plan tells."""

import copy
import json

import yaml

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import validate
from pipeline.command_line import CATALOGUE
from pipeline.data.sources import HELD_OUT
from pipeline.planning import training_kinds

DECLARATION = yaml.safe_load("""
scale: tiny
about: a test
datasets: {shapes: {train: 1000, test: 200}}
networks: {small: {depth: 2, width: 16, heads: 2, timesteps: 2}}
recipes: {short: {epochs: 3, cooldown_epochs: 1, warmup_epochs: 1, batch: 64}}
runs:
  static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0, 1]}
  at_snn: {method: at_snn, options: {gamma: 5}, parent: static, recipe: short}
evaluations:
  static: {run: static}
  at_snn: {run: at_snn, exits: [at_snn_e]}
  map: {run: at_snn, probe: gamma_epsilon, settings: {gammas: [0, 5], epsilons: [0.01, 0.1, 0.3], images: 50}}
table1: [{evaluation: static, timesteps: 1}, {evaluation: static}, {evaluation: at_snn}, {evaluation: at_snn, exit: at_snn_e}]
figures: {gamma_epsilon: {evaluations: [map]}, worked_example: {}}
""")
DEVICE = {"device": "a processor", "precision": "float32", "threads": 1, "kernels": "compiled kernels: c++ 12"}
IMAGES = 1000 // 64 * 64  # of an epoch
TRAINED = {"static": 96.0, "at_snn": 48.0}  # images a second, so that an epoch takes 10 and 20 seconds
PASSED = {"static": 120.0, "at_snn": 60.0}  # and the end of an epoch 10 and 20
EPOCHS = 4


def campaign(**change):
    return Campaign(validate(copy.deepcopy(DECLARATION) | change, CATALOGUE), CATALOGUE)


def measured(made, labels=TRAINED, **about):
    """A file of throughput with the rates above."""
    entries = [
        {
            "title": label,
            "trained_kind": training_kinds.kind_of(run),
            "pass_kind": training_kinds.pass_of(run),
            "batch": 8,
            "declared_batch": 64,
        }
        | {"trained": TRAINED[label], "passed": PASSED[label], "energy": 2.0, "weights_bytes": 1000, "checkpoint_bytes": 3100}
        for label in labels
        for run in [made.run(label, 0)]
    ]
    content = DEVICE | {"gpu": False, "cores": 2, "kinds": entries} | about
    made.folder.mkdir(parents=True, exist_ok=True)
    (made.folder / "throughput.json").write_text(json.dumps(content))


def entries_of(made, label, epochs, trained=None, stop_after=None, **about):
    """A record: each epoch takes as long as the rates above say, or as `trained` does; a day passes at a stop."""
    data = {"counts": {"train": 1000, "heldout": HELD_OUT, "test": 200}, "name": "shapes", "source": "shapes-1"}
    data |= {"origin": "shapes", "official": True}
    provenance = {"git": {}, "versions": {}, "data": data} | DEVICE | about
    clock, end = 1000.0, (HELD_OUT + 200) / PASSED[label]
    entries = [{"event": "start", "time": clock, "provenance": provenance}]
    for epoch in range(0 if label == "at_snn" else 1, epochs + 1):
        rate = trained or TRAINED[label]
        clock += end + (IMAGES / rate if epoch else 0)
        metrics = {"images_per_second": rate} if epoch else {}
        entries.append({"event": "epoch", "epoch": epoch, "time": clock, "metrics": metrics})
        if epoch == stop_after:
            clock += 86400
            entries.append({"event": "resume", "time": clock, "provenance": provenance})
    return entries


def under_way(made, label, seed, entries):
    folder = made.weights_folder(made.run(label, seed))
    write(folder / "record.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
    write(folder / "checkpoint.pt", "x" * 3000)


def finished(made, label, seed, entries):
    run = made.run(label, seed)
    write(made.run_folder(run) / "record.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
    write(made.run_folder(run) / "done.json", "{}")
    write(made.weights_file(run), "x" * 1000)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def line_of(plan, label):
    return next(line for line in plan["trainings"] if line["label"] == label)
