"""`pipeline.train --processes 2`: torchrun, the checkpoints of one process and of two, an end that is asked for, a lost loss."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from copied import ask, call, copy_tree, one_line, processes, run_id

from pipeline.core.record import read

NEAR = 1e-9  # of a loss in float64: sums over processes have another order
DECLARATION = """
scale: tiny
about: a test
precision: float64
checkpoint_minutes: 0
datasets: {shapes: {train: 64, test: 20}}
networks: {small: {depth: 1, width: 16, heads: 2, timesteps: 1}}
recipes:
  short: {epochs: 3, cooldown_epochs: 0, warmup_epochs: 0, batch: 16, lr: 4.0e-3}
  lost: {epochs: 1, cooldown_epochs: 0, warmup_epochs: 0, batch: 16, lr: 1.0e+200}
runs:
  static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0, 1, 2]}
  lost: {method: static, dataset: shapes, network: small, recipe: lost, seeds: [0]}
evaluations: {static: {run: static}}
table1: [{evaluation: static}]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project") / "copy"
    copy_tree(folder)
    (folder / "workflow/experiments/tiny.yaml").write_text(DECLARATION)
    made = call(folder, "pipeline.prepare", "--scale", "tiny", "--set", ask(folder, "campaign.data('shapes').id"))
    assert made.returncode == 0, made.stderr
    return folder


def train(folder, run, processes=1):
    return call(folder, "pipeline.train", "--scale", "tiny", "--run", run, "--processes", str(processes))


def record(folder, run):
    return read(folder / "results/tiny/runs" / run / "record.jsonl")


def losses(folder, run):
    return [entry["metrics"]["train_loss"] for entry in record(folder, run) if entry["event"] == "epoch"]


def again(folder, run):
    for kind in ("runs", "weights"):
        for path in (folder / "results/tiny" / kind / run).iterdir():
            path.unlink()


def stopped(folder, run, count):
    """A training that gets SIGTERM once an epoch is in its record; what it said."""
    words = [sys.executable, "-m", "pipeline.train", "--scale", "tiny", "--run", run, "--processes", str(count)]
    running = subprocess.Popen(words, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log, begun = folder / "results/tiny/weights" / run / "record.jsonl", time.monotonic()
    while not (log.exists() and '"event": "epoch", ' in log.read_text()) and time.monotonic() - begun < 120:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGTERM)
    told = running.communicate(timeout=120)[0]
    assert running.returncode != 0 and "asked to stop: saved at" in told, told
    return told


def test_two_processes_end_where_one_does_and_take_over_each_others_checkpoints(project):
    run = run_id(project, "static")
    assert train(project, run).returncode == 0
    expected = losses(project, run)
    assert len(expected) == 3 and len(set(expected)) == 3
    again(project, run)

    both = train(project, run, 2)
    assert both.returncode == 0, both.stderr
    assert "trains in 2 processes" in both.stderr and both.stderr.count("epoch 1/3") == 1, "one of them speaks"
    assert losses(project, run) == pytest.approx(expected, rel=NEAR)
    assert record(project, run)[0]["provenance"]["processes"] == 2
    again(project, run)

    for first, second in ((1, 2), (2, 1)):
        stopped(project, run, first)
        rest = train(project, run, second)
        assert rest.returncode == 0 and "goes on at epoch" in rest.stderr, rest.stderr
        assert losses(project, run) == pytest.approx(expected, rel=NEAR)
        counts = [entry["provenance"]["processes"] for entry in record(project, run) if "provenance" in entry]
        assert counts == [first, second]
        again(project, run)


def test_two_processes_that_are_stopped_end_with_the_same_bytes(project):
    run = run_id(project, "static", 1)
    weights = project / "results/tiny/weights" / run / "final.safetensors"
    assert train(project, run, 2).returncode == 0
    whole = weights.read_bytes()
    again(project, run)
    stopped(project, run, 2)
    assert train(project, run, 2).returncode == 0
    assert weights.read_bytes() == whole


def test_processes_outlive_neither_torchrun_nor_a_lost_loss(project):
    run = run_id(project, "lost")
    lost = train(project, run, 2)
    assert lost.returncode != 0
    said = [line for line in lost.stderr.splitlines() if line.startswith("pipeline.train: error: ")]
    assert len(said) == 1 and ("is nan" in said[0] or "not finite" in said[0]), lost.stderr
    assert not processes("pipeline.train", run)
    reason = json.loads((project / "results/tiny/runs" / run / "failed.json").read_text())["reason"]
    assert reason in said[0]
    one_line(train(project, run, 2), "pipeline.train", "it has failed before")

    killed = run_id(project, "static", 2)
    words = [sys.executable, "-m", "pipeline.train", "--scale", "tiny", "--run", killed, "--processes", "2"]
    running = subprocess.Popen(words, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log, begun = project / "results/tiny/weights" / killed / "record.jsonl", time.monotonic()
    while not log.exists() and time.monotonic() - begun < 120:
        time.sleep(0.05)
    running.kill()
    running.wait()
    rest = train(project, killed)
    assert rest.returncode == 0, rest.stderr
    assert len(losses(project, killed)) == 3 and not processes("pipeline.train", killed)


def test_a_batch_that_processes_cannot_share_and_a_number_that_is_none_are_one_line(project):
    run = run_id(project, "static", 2)
    one_line(train(project, run, 3), "pipeline.train", "a batch of 16 can't be shared by 3 processes")
    one_line(train(project, run, -1), "pipeline.train", "name how many train together")
