"""A small campaign whose weights make tokens merge and halt: what the figures' tests draw from, evaluated for real."""

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
import torch
from made_once import made_once
from reference import random_official_state_dict
from speed_record import record

from models.convert import from_official_spikformer
from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.freshness import mark_made
from pipeline.campaign.read_declaration import validate
from pipeline.campaign.recorded import flatten
from pipeline.command_line import CATALOGUE
from pipeline.core import atomic_files
from pipeline.core.checksums import sha256
from pipeline.data.datasets import shapes
from pipeline.data.evaluation_batches import evaluation_batches
from pipeline.data.prepared import Prepared, prepare
from pipeline.evaluation.build_network import network_for
from pipeline.evaluation.evaluate_run import evaluate
from pipeline.evaluation.weights import save_weights
from pipeline.reporting.tables.aggregate import csv
from pipeline.reporting.tables.energy_table import energy
from pipeline.reporting.tables.readings import readings

CONTENT = {
    "scale": "halting",
    "about": "a test",
    "precision": "float32",
    "datasets": {"shapes": {"train": 40, "test": 30}},
    "networks": {"small": {"depth": 3, "width": 16, "heads": 2, "timesteps": 3}},
    "recipes": {"short": {"epochs": 1, "warmup_epochs": 0, "batch": 20}},
    "runs": {
        "static": {"method": "static", "dataset": "shapes", "network": "small", "recipe": "short", "seeds": [0, 1]},
        "static_control": {"method": "static_control", "parent": "static", "recipe": "short"},
        "tet": {"method": "tet", "timesteps": 2, "parent": "static", "recipe": "short"},
        "dt_snn": {"method": "dt_snn", "parent": "static", "recipe": "short"},
        "at_snn_gamma9": {"method": "at_snn", "options": {"gamma": 9}, "parent": "static", "recipe": "short"},
        "at_snn": {"method": "at_snn", "options": {"gamma": 5}, "parent": "static", "recipe": "short"},
        "at_snn_1d": {"method": "at_snn", "options": {"gamma": 5, "axes": "1d"}, "parent": "static", "recipe": "short"},
        "merge_only": {"method": "merge_only", "options": {"gamma": 5}, "parent": "static", "recipe": "short"},
        "halt_only": {"method": "halt_only", "parent": "static", "recipe": "short"},
    },
    "evaluations": {
        "static": {"run": "static"},
        "static_control": {"run": "static_control"},
        "tet": {"run": "tet", "timesteps": 3},
        "dt_snn": {"run": "dt_snn", "exits": ["dt_snn"]},
        "at_snn_gamma9": {"run": "at_snn_gamma9", "exits": ["at_snn_e"]},
        "at_snn": {"run": "at_snn", "exits": ["at_snn_e"]},
        "at_snn_short": {"run": "at_snn", "timesteps": 2},
        "at_snn_printed": {"run": "at_snn", "options": {"reading": "printed"}},
        "at_snn_example": {"run": "at_snn", "options": {"reading": "example"}},
        "at_snn_1d": {"run": "at_snn_1d"},
        "at_snn_never": {"run": "at_snn", "options": {"alpha": 0.0, "beta": -200.0}},
        "merge_only": {"run": "merge_only"},
        "halt_only": {"run": "halt_only"},
        "by_block": {"run": "static", "probe": "accuracy_by_block_and_timestep"},
        "similarity": {"run": "static", "probe": "block_similarity"},
        "masked": {"run": "static", "probe": "masking", "settings": {"masked": [10, 40], "images": 10}},
        "onset": {"run": "static", "probe": "halting_onset", "settings": {"betas": [-10.0, -4.0], "images": 10}},
        "map": {"run": "at_snn", "probe": "gamma_epsilon", "settings": {"gammas": [0, 5], "epsilons": [0.01, 0.5], "images": 10}},
    },
    "table1": [{"evaluation": "static"}],
    "figures": {
        "accuracy_over_timesteps": {"evaluations": ["static", "tet", "dt_snn", "at_snn"]},
        "accuracy_over_tokens": {"evaluations": ["static", "at_snn", "at_snn_printed"]},
        "accuracy_by_block_and_timestep": {"evaluations": ["by_block"]},
        "block_similarity": {"evaluations": ["similarity"]},
        "worked_example": {},
        "blocks_per_token": {"evaluations": ["at_snn"]},
        "merged_and_halted_maps": {"evaluations": ["at_snn"]},
        "merged_and_halted": {"evaluations": ["at_snn"]},
        "easy_and_hard": {"evaluations": ["at_snn"]},
        "energy_by_module": {"evaluations": ["static", "tet", "dt_snn", "at_snn"]},
        "energy_conventions": {"evaluations": ["static", "at_snn", "merge_only", "halt_only"]},
        "halting_axes": {"evaluations": ["static", "at_snn", "at_snn_1d"]},
        "two_neurons": {},
        "masking": {"evaluations": ["masked"]},
        "parts_apart": {"evaluations": ["static", "static_control", "merge_only", "halt_only", "at_snn"]},
        "halting_readings": {"evaluations": ["static_control", "at_snn", "at_snn_printed", "at_snn_example"]},
        "gamma_epsilon": {"evaluations": ["map"]},
        "halting_onset": {"evaluations": ["onset"]},
        "tokens_over_training": {"evaluations": ["at_snn", "at_snn_1d"]},
        "seconds_over_firing_rate": {},
    },
}
GAINS = {0: 0.6, 1: 1.0}  # by seed: what makes channel 0 grow, and tokens halt


@pytest.fixture
def campaign(evaluated, monkeypatch):
    """Its paths are relative: a test is in its folder, and what is drawn goes to results/halting/ there."""
    made, folder = evaluated
    monkeypatch.chdir(folder)
    return made


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory, worker_id):
    """The campaign, evaluated and its tables made, and the folder that it lies in, which is this process's own."""
    folder = tmp_path_factory.mktemp("halting") / "campaign"
    shutil.copytree(made_once(tmp_path_factory, worker_id, "halting", make), folder)
    with chdir(folder):
        return Campaign(validate(CONTENT, CATALOGUE), CATALOGUE), folder


@torch.no_grad()
def network_of(seed: int, data):
    """Random weights, and a head that is right about many of the test images: else all have one class and nothing differs."""
    state = random_official_state_dict(depth=3, width=16, classes=10, seed=seed, blockwise_gain=GAINS[seed])
    network = from_official_spikformer(state, heads=2, timesteps=3)
    images, labels = next(evaluation_batches(Prepared(data.folder), "test"))
    head, network.head = network.head, torch.nn.Identity()
    both = network, network_for(CATALOGUE, "at_snn", {"gamma": 5}, network).eval()
    feature = torch.cat([one(images.double()).logits.mean(dim=0) for one in both])
    network.head = head
    feature = torch.cat([feature, torch.ones(len(feature), 1)], dim=1)
    target = torch.nn.functional.one_hot(labels, 10).double().repeat(len(both), 1)
    fitted = torch.linalg.lstsq(feature, target).solution
    head.weight.copy_(fitted[:-1].T)
    head.bias.copy_(fitted[-1])
    return network


def write_record(campaign: Campaign, evaluation, before) -> None:
    """A record of two epochs, whose tokens are those of two evaluations: one in which nothing halts, then the run's own.

    Channel 0 spikes in every second token that the first block computes before, in none after; in all of other blocks. It
    does so at least twice (four bins of 1/2) in the last block, and in every fourth token of the first before.
    """
    kinds = {"device": "", "kernels": "", "precision": "float32", "threads": 1, "git": {}, "versions": {}, "data": {}}
    entries = [{"event": "start", "time": 0, "provenance": kinds}]
    for epoch, one in enumerate((before, evaluation)):
        metrics = recorded.evaluation_entries(campaign, one)[-1]["metrics"]
        entries.append({"event": "epoch", "time": 1, "epoch": epoch, "metrics": metrics})
        blocks = [[4, 0, 0, 0, 0] if epoch else [2, 1, 0, 0, 1], [0, 4, 0, 0, 0], [0, 0, 0, 0, 4]]
        entries.append({"event": "channel_0", "time": 1, "epoch": epoch, "histogram": {"bin": 0.5, "blocks": blocks}})
    folder = campaign.run_folder(evaluation.run)
    atomic_files.replace(folder / "record.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
    done = atomic_files.read_json(folder / "done.json") | {"record_sha256": sha256(folder / "record.jsonl")}
    atomic_files.replace_json(folder / "done.json", done)


def make(folder: Path) -> None:
    with chdir(folder):
        make_here()


def make_here() -> None:
    made = Campaign(validate(CONTENT, CATALOGUE), CATALOGUE)
    data = made.data("shapes")
    prepare(shapes.read(None, data.train, data.test), data, title="shapes", classes=10)
    networks = {seed: network_of(seed, data) for seed in GAINS}
    for run in made.runs:
        weights = made.weights_folder(run) / "final.safetensors"
        weights.parent.mkdir(parents=True)
        save_weights(weights, networks[run.seed].state_dict(), run.id)
        content = {
            "run": run.id,
            "weights_sha256": sha256(weights),
            "precision": "float32",
            "best_on_test": {"test_accuracy": 50.0},
        }
        atomic_files.replace_json(made.run_folder(run) / "done.json", content)
    for run in made.measured_runs:
        evaluate(made, run)
    for name in ("at_snn", "at_snn_1d"):
        for evaluation, before in zip(made.named(name), made.named("at_snn_never")):
            write_record(made, evaluation, before)
    metrics = {e.id: flatten(recorded.evaluation_entries(made, e)[-1]["metrics"]) for e in made.evaluations}
    atomic_files.replace(made.folder / "tables/readings.csv", csv(readings(made, pd.Series(metrics))))
    atomic_files.replace(made.folder / "tables/energy.csv", csv(energy(made)))
    atomic_files.replace(made.folder / "bench/some-kind/benchmark.json", record())
    mark_made(made, "tables")
