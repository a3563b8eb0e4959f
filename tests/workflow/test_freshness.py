"""What runs again, and what does not."""

import base64
import json
import os
import resource
import signal
import subprocess
import sys
import time

from copied import TINY, ask, call, jobs, run_id, snakemake


def test_a_second_run_does_nothing_and_soon(tree):
    started = time.monotonic()
    run = snakemake(tree)
    assert run.returncode == 0 and "Nothing to be done" in run.stdout + run.stderr
    assert time.monotonic() - started < 20


def test_the_papers_graph_is_planned_in_seconds(tree):
    """In processor time, which other tests at work do not change."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wanted = jobs(snakemake(tree, "-n", scale="paper"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (wanted["prepare"], wanted["train"], wanted["evaluate"]) == ("3", "162", "162")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


def test_new_file_times_train_and_evaluate_nothing(tree):
    for path in (*tree.glob("data/prepared/*/*"), *tree.glob("results/tiny/*/*/*"), tree / "Snakefile"):
        os.utime(path)
    assert not {"train", "evaluate"} & set(jobs(snakemake(tree, "-n")))


def test_what_is_measured_again_is_shown_again(tree):
    path = next((tree / "results/tiny/evals").glob("at_snn-s0-*"))
    aside = tree / "aside"
    path.rename(aside)
    try:
        wanted = jobs(snakemake(tree, "-n"))
        assert {rule: wanted.get(rule) for rule in ("train", "evaluate", "aggregate", "figure", "claims", "report")} == {
            "train": None, "evaluate": "1", "aggregate": "1", "figure": "4", "claims": "1", "report": "1",
        }  # fmt: skip
    finally:
        aside.rename(path)


def test_a_deleted_record_comes_back_without_training(tree):
    folder = tree / "results/tiny/runs" / run_id(tree, "static")
    before, done = (folder / "record.jsonl").read_text(), json.loads((folder / "done.json").read_text())
    (folder / "record.jsonl").unlink()
    run = snakemake(tree)
    assert run.returncode == 0, run.stdout + run.stderr
    assert jobs(snakemake(tree, "-n")) == {}
    after = (folder / "record.jsonl").read_text()
    assert [line for line in after.splitlines() if '"end"' not in line] == [
        line for line in before.splitlines() if '"end"' not in line
    ]
    assert json.loads((folder / "done.json").read_text())["weights_sha256"] == done["weights_sha256"]


def test_a_changed_seed_trains_that_run_and_its_children_only(tree):
    path = tree / "workflow/experiments/tiny.yaml"
    path.write_text(TINY.replace("[0, 1]", "[0, 5]"))
    try:
        wanted = jobs(snakemake(tree, "-n"))
        assert {rule: wanted[rule] for rule in ("train", "evaluate", "aggregate", "figure", "claims", "report")} == {
            "train": "2", "evaluate": "2", "aggregate": "1", "figure": "4", "claims": "1", "report": "1",
        }  # fmt: skip
    finally:
        path.write_text(TINY)


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(tree):
    (tree / "workflow/experiments/again.yaml").write_text(TINY.replace("scale: tiny", "scale: again\ncheckpoint_minutes: 0"))
    run = run_id(tree, "static", scale="again")
    assert run == run_id(tree, "static"), "what changes no number is not in the id"
    folder = tree / "results/again/weights" / run
    command = [sys.executable, "-m", "pipeline.train", "--scale", "again", "--run", run]
    process = subprocess.Popen(command, cwd=tree, stderr=subprocess.PIPE, text=True)
    while not (folder / "checkpoint.pt").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "final.safetensors").exists()
    again = call(tree, "pipeline.train", "--scale", "again", "--run", run)
    assert again.returncode == 0 and "goes on at epoch" in again.stderr, again.stderr
    assert (folder / "final.safetensors").read_bytes() == (tree / "results/tiny/weights" / run / "final.safetensors").read_bytes()


def test_a_graph_that_was_killed_while_preparing_runs_all_that_is_left(tree):
    """Snakemake's mark of an incomplete file, as a kill leaves it, must not make that job the only one."""
    (tree / "workflow/experiments/cut.yaml").write_text(TINY.replace("scale: tiny", "scale: cut"))
    mark = tree / ".snakemake/incomplete" / base64.b64encode(ask(tree, "campaign.prepared()[0]", "cut").encode()).decode()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        wanted = jobs(snakemake(tree, "-n", scale="cut"))
        assert (wanted["train"], wanted["evaluate"], wanted["report"]) == ("4", "4", "1")
    finally:
        mark.unlink()
