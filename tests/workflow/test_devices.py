"""Four pretended GPUs on one machine: `snakemake --cores 16` keeps four trainings busy, each on its own."""

import os
import re
import subprocess
import sys

import pytest
from copied import TINY, ask, copy_tree

from pipeline.core.record import read

SEEDS = 6
DECLARATION = TINY.replace("[0, 1]", str(list(range(SEEDS)))).replace("train: 128", "train: 64")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    copy_tree(folder)
    (folder / "workflow/experiments/tiny.yaml").write_text(DECLARATION)
    programs = tmp_path / "bin"
    programs.mkdir()
    smi = "".join(f"echo 'GPU {n}: NVIDIA H100 PCIe (UUID: GPU-{n}-{os.getpid()})'\n" for n in range(4))
    (programs / "nvidia-smi").write_text(f"#!/bin/sh\n{smi}")
    (programs / "nvidia-smi").chmod(0o755)
    return folder


def test_four_devices_are_kept_busy_by_a_training_each(project):
    runs = [ask(project, f"campaign.run('static', {seed}).id") for seed in range(SEEDS)]
    done = [f"results/tiny/runs/{run}/done.json" for run in runs]
    environment = {k: v for k, v in os.environ.items() if k not in ("ATSNN_DATA", "CUDA_VISIBLE_DEVICES")}
    environment["PATH"] = f"{project.parent / 'bin'}:{environment['PATH']}"
    words = [sys.executable, "-m", "snakemake", "--cores", "16", "--config", "scale=tiny"]
    run = subprocess.run([*words, "--", *done], cwd=project, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

    busy = {}
    for name in runs:
        log = (project / f"results/tiny/logs/train/{name}.log").read_text()
        assert "waits for" not in log, "no more jobs are begun than there are devices"
        (device,) = re.findall(r"has (GPU-\S+) for itself", log)
        times = [entry["time"] for entry in read(project / f"results/tiny/runs/{name}/record.jsonl")]
        busy.setdefault(device, []).append((times[0], times[-1]))
    assert len(busy) == 4 and sum(map(len, busy.values())) == SEEDS
    for spans in busy.values():
        assert all(before[1] <= after[0] for before, after in zip(sorted(spans), sorted(spans)[1:])), "one at a time"
    moments = [start for spans in busy.values() for start, _ in spans]
    at_once = [sum(start <= moment <= end for spans in busy.values() for start, end in spans) for moment in moments]
    assert max(at_once) == 4
