"""Pretended GPUs on one machine: Snakemake keeps as many trainings busy, each on its own; one where they can't be told apart."""

import os
import re
import subprocess
import sys

import pytest
from copied import TINY, ask, copy_tree

from pipeline.core.record import read

SEEDS = 5  # one more than there are devices
DECLARATION = TINY.replace("[0, 1]", str(list(range(SEEDS)))).replace("train: 128", "train: 64")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    copy_tree(folder)
    (folder / "workflow/experiments/tiny.yaml").write_text(DECLARATION)
    (tmp_path / "bin").mkdir()
    return folder


def train(project, seeds, nvidia_smi, *words, **variables):
    """Train STATIC of these seeds on a machine with this program, and return the logs by run and when each run trained."""
    program = project.parent / "bin/nvidia-smi"
    program.write_text(f"#!/bin/sh\n{nvidia_smi}")
    program.chmod(0o755)
    runs = [ask(project, f"campaign.run('static', {seed}).id") for seed in range(seeds)]
    environment = {k: v for k, v in os.environ.items() if k not in ("ATSNN_DATA", "CUDA_VISIBLE_DEVICES")} | variables
    environment |= {"PATH": f"{program.parent}:{environment['PATH']}", "TMPDIR": str(project.parent)}
    command = [sys.executable, "-m", "snakemake", "--cores", "16", *words, "--config", "scale=tiny", "--"]
    done = [f"results/tiny/runs/{run}/done.json" for run in runs]
    run = subprocess.run([*command, *done], cwd=project, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    logs = {name: (project / f"results/tiny/logs/train/{name}.log").read_text() for name in runs}
    times = {name: [entry["time"] for entry in read(project / f"results/tiny/runs/{name}/record.jsonl")] for name in runs}
    return logs, {name: (moments[0], moments[-1]) for name, moments in times.items()}


def one_at_a_time(spans):
    return all(before[1] <= after[0] for before, after in zip(sorted(spans), sorted(spans)[1:]))


def test_four_devices_are_kept_busy_by_a_training_each(project):
    smi = "".join(f"echo 'GPU {n}: NVIDIA H100 PCIe (UUID: GPU-{n})'\n" for n in range(4))
    logs, spans = train(project, SEEDS, smi)
    busy = {}
    for name, log in logs.items():
        assert "waits for" not in log, "no more jobs are begun than there are devices"
        (device,) = re.findall(r"has (GPU-\S+) for itself", log)
        busy.setdefault(device, []).append(spans[name])
    assert len(busy) == 4 and sum(map(len, busy.values())) == SEEDS
    assert all(map(one_at_a_time, busy.values()))
    at_once = [sum(start <= moment <= end for start, end in spans.values()) for moment, _ in spans.values()]
    assert max(at_once) == 4


def test_one_training_at_a_time_says_why_where_devices_cannot_be_told_apart(project):
    """Though Snakemake is told of two."""
    logs, spans = train(project, 2, "echo Unknown Error\nexit 1\n", "--resources", "gpu=2", CUDA_VISIBLE_DEVICES="0,1")
    assert one_at_a_time(spans.values())
    for log in logs.values():
        assert log.count("one job at a time uses GPUs, since they can't be told apart: nvidia-smi fails (Unknown Error)") == 1
    assert sum("waits for the GPUs of this machine to be free" in log for log in logs.values()) == 1
