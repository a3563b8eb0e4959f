"""Campaigns through sbatch, as profiles/slurm has them, on a real SLURM: they end with the bytes of local ones."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import slurm
import yaml
from copied import TINY, copy_tree, finish_campaign, processes, run_id
from made_once import made_once

from pipeline.core.record import read

# Of the plugin, which else asks sacct, where there is no accounting, and asks seldom
QUICKLY = ("--slurm-status-command=squeue", "--slurm-init-seconds-before-status-checks=3", "--seconds-between-status-checks=2")
LONG = """
scale: tiny
about: trainings that are long enough to be disturbed
checkpoint_minutes: 0
datasets: {shapes: {train: 400, test: 60}}
networks: {small: {depth: 2, width: 16, heads: 2, timesteps: 2}}
recipes: {short: {epochs: 6, cooldown_epochs: 0, warmup_epochs: 1, batch: 16, lr: 2.0e-3}}
runs: {static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0, 1, 2, 3]}}
evaluations: {static: {run: static}}
table1: [{evaluation: static, timesteps: 1}, {evaluation: static}]
figures: {accuracy_over_tokens: {evaluations: [static]}}
"""


@pytest.fixture(scope="module")
def cluster():
    if reason := slurm.unusable():
        pytest.skip(f"NOT TESTED: campaigns on SLURM. {reason}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm.Slurm(Path(folder) / "cluster") as running:
        yield running


@pytest.fixture(scope="module")
def local(tmp_path_factory, worker_id):
    """The tiny campaign, run on this machine."""
    return made_once(tmp_path_factory, worker_id, "tiny", finish_campaign)


@pytest.fixture
def project(tmp_path):
    """A copy of the code, with nothing made in it."""
    folder = tmp_path / "project"
    copy_tree(folder)
    (folder / "workflow/experiments/tiny.yaml").write_text(TINY)
    return folder


def campaign(folder, profile="slurm"):
    """The whole graph, as `make reproduce PROFILE=slurm` runs it."""
    clean = {k: v for k, v in os.environ.items() if k not in ("ATSNN_DATA", "MLFLOW_TRACKING_URI")}
    clean |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PROFILE": profile}
    words = ["workflow/run.sh", "all", "--config", "scale=tiny", *(QUICKLY if profile == "slurm" else ())]
    with (folder / "run.log").open("a") as log:
        return subprocess.Popen(words, cwd=folder, env=clean, stdout=log, stderr=log, start_new_session=True)


def ended(running, folder, seconds=400):
    code = running.wait(seconds)
    assert code == 0, (folder / "run.log").read_text()[-5000:]


def bytes_of(folder):
    """What no clock and no machine is in: weights, arrays, figures, tables."""
    results = folder / "results/tiny"
    kinds = ("weights/*/final.safetensors", "arrays/*.npz", "figures/*", "tables/[!.]*")
    return {str(path.relative_to(results)): path.read_bytes() for kind in kinds for path in results.glob(kind)}


def must_be_the_same(folder, other):
    found, expected = bytes_of(folder), bytes_of(other)
    assert len(expected) > 20 and sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def test_a_campaign_through_sbatch_makes_the_bytes_of_a_local_one(cluster, local, project):
    ended(campaign(project), project)
    log = (project / "run.log").read_text()
    assert log.count("has been submitted with SLURM jobid") == 4 + 4 + 1, "trainings, evaluations, one job for all pages"
    must_be_the_same(project, local)
    started = read(project / "results/tiny/runs" / run_id(project, "static") / "record.jsonl")[0]
    assert started["provenance"]["threads"] == 1
    assert not list((project / "results/slurm_logs").rglob("*.log")), "of jobs that succeeded"
    assert (project / "results/tiny/logs/train" / f"{run_id(project, 'static')}.log").exists()


def test_a_campaign_that_is_interrupted_on_slurm_and_finished_here_makes_the_same_bytes(cluster, local, tmp_path):
    """Of which the trainings of STATIC were done before."""
    project = shutil.copytree(local, tmp_path / "project", symlinks=True)
    run = run_id(project, "at_snn")
    for name in ("*/at_snn-*", "tables", "figures", "made", "report.html"):
        for path in (project / "results/tiny").glob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    running = campaign(project)
    wait_for_event(cluster, project, run, "start")
    os.killpg(running.pid, signal.SIGINT)
    running.wait(120)
    cluster.wait_for(lambda: not slurm.run("squeue", "--noheader").strip(), "jobs of an interrupted campaign stay")
    assert not (project / "results/tiny/report.html").exists()
    ended(campaign(project, "default"), project)
    must_be_the_same(project, local)


def wait_for_event(cluster, folder, run, event):
    """Until a training under SLURM has got so far."""
    record = folder / "results/tiny/weights" / run / "record.jsonl"
    mark = f'"event": "{event}"'
    cluster.wait_for(lambda: record.exists() and mark in record.read_text(), f"{run} has no {event}")


def begin_again(cluster, number):
    """A job that was queued again, once its node is rid of it, without all of the two minutes that SLURM waits for that."""

    def state():
        return slurm.run("squeue", "--noheader", "--job", number, "--format=%T %r").strip()

    cluster.wait_for(lambda: state() == "PENDING BeginTime", f"job {number} is not queued again")
    cluster.wait_for(lambda: not processes(f"slurmstepd: [{number}."), f"job {number} doesn't end")
    slurm.run("scontrol", "update", f"jobid={number}", "starttime=now+15")  # slurmd takes a while to forget it


def test_trainings_that_slurm_ends_go_on_where_they_were(cluster, project):
    """Two lose their node, one of them is queued again then, one is cancelled, one out of time: the campaign ends like a calm one."""
    calm = project.with_name("calm")
    copy_tree(calm)
    for folder in (project, calm):
        (folder / "workflow/experiments/tiny.yaml").write_text(LONG)
    runs = [run_id(project, "static", seed) for seed in range(4)]
    running = campaign(project)
    jobs = {run: cluster.wait_for(lambda run=run: cluster.running(run), f"no job of {run} runs") for run in runs}
    table = yaml.safe_load((project / "profiles/slurm/config.yaml").read_text())["set-resources"]["train"]
    asked = slurm.run("squeue", "--noheader", "--job", jobs[runs[0]].number, "--format=%m %C %P %l").split()
    hours, minutes = divmod(table["runtime"], 60)
    assert asked[:3] == [f"{table['mem_mb']}M", str(table["cpus_per_task"]), table["slurm_partition"]]
    assert asked[3] == f"{hours // 24}-{hours % 24:02}:{minutes:02}:00", "what the table says"
    for run in runs:
        wait_for_event(cluster, project, run, "epoch")
    node = jobs[runs[0]].node
    lost, (cancelled, late) = ([run for run in runs if (jobs[run].node == node) == there] for there in (True, False))
    for process in processes("python\0-m\0pipeline.train", late):  # hangs until SLURM ends its job, and wakes it for that
        os.kill(process, signal.SIGSTOP)
    slurm.run("scontrol", "update", f"jobid={jobs[late].number}", "timelimit=1")  # minute; the training itself takes less
    slurm.run("scancel", jobs[cancelled].number)
    slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")  # slurmd lives, and brings it back
    for run in lost:
        begin_again(cluster, jobs[run].number)
    again = lost[0]
    wait_for_event(cluster, project, again, "resume")
    slurm.run("scontrol", "requeue", jobs[again].number)
    begin_again(cluster, jobs[again].number)
    ended(running, project, 600)

    for run in runs:
        events = [entry["event"] for entry in read(project / "results/tiny/runs" / run / "record.jsonl")]
        assert events.count("start") == 1 and events.count("resume") >= (2 if run == again else 1) and events[-1] == "end", events
    log = (project / "run.log").read_text()
    assert "'CANCELLED'" in log and "'TIMEOUT'" in log, log[-3000:]
    ended(campaign(calm, "default"), calm, 600)
    must_be_the_same(project, calm)
