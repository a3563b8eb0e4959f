"""The whole of it, as a user runs it, in a copy of this tree: Snakemake, stages, faults. Tests build on one campaign."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = """
scale: tiny
about: a test
datasets: {shapes: {train: 128, test: 60}}
networks: {small: {depth: 2, width: 16, heads: 2, timesteps: 2}}
recipes: {short: {epochs: 1, cooldown_epochs: 1, warmup_epochs: 1, batch: 16, lr: 2.0e-3}}
runs:
  static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0, 1]}
  at_snn: {method: at_snn, options: {gamma: 5}, parent: static, recipe: short}
evaluations: {static: {run: static}, at_snn: {run: at_snn}}
table1: [{evaluation: static, timesteps: 1}, {evaluation: static}, {evaluation: at_snn}]
figures: {blocks_per_token: {evaluation: at_snn}}
"""


def call(folder, *words, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("ATSNN_DATA", "MLFLOW_TRACKING_URI")}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=500, env=clean | environment
    )


def snakemake(folder, *words, scale="tiny", **environment):
    return call(folder, "snakemake", "--cores", "2", *words, "--config", f"scale={scale}", **environment)


def jobs(run):
    """The jobs that a dry run says it would run, by rule."""
    assert run.returncode == 0, run.stdout + run.stderr
    return (
        dict(re.findall(r"^(\w+) +(\d+)$", (run.stdout + run.stderr).split("Reasons:")[0], re.M))
        if "Nothing to be done" not in run.stdout + run.stderr
        else {}
    )


def one_line(run, stage, message):
    """Exit code 2 and one line from the stage, no traceback."""
    assert run.returncode == 2, run.stderr
    lines = [line for line in run.stderr.splitlines() if line and not line.startswith("Config file")]
    assert len(lines) == 1 and lines[0].startswith(f"{stage}: error: ") and re.search(message, lines[0]), run.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what git knows or would add, with the tiny campaign done in it."""
    folder = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "workflow/experiments/tiny.yaml").write_text(TINY)
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def run_id(folder, label, seed=0, scale="tiny"):
    code = f"from pipeline.campaign import open_campaign; print(open_campaign({scale!r}).run({label!r}, {seed}).id)"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_a_campaign_ends_in_a_table_a_figure_and_a_self_contained_report(tree):
    results = tree / "results/tiny"
    rows = list(csv.DictReader((results / "tables/table1.csv").open()))
    assert [(r["method"], r["architecture"], r["timesteps"], r["n"]) for r in rows] == [
        ("STATIC", "Spikformer-2-16", "1", "2"),
        ("STATIC", "Spikformer-2-16", "2", "2"),
        ("AT-SNN (γ = 5)", "Spikformer-2-16", "2", "2"),
    ]
    assert all(r["scale"] == "tiny" and r["origin"] == "measured here on shapes (built in, drawn from a seed)" for r in rows)
    assert float(rows[1]["avg_tokens"]) == 1 and float(rows[2]["avg_tokens"]) <= 0.8828
    page = (results / "report.html").read_text()
    assert all(run in page for r in rows for run in r["run_ids"].split())
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page) and page.count("data:image/png;base64,") == 2
    numbers = json.loads((results / "figures/blocks_per_token.json").read_text())
    assert numbers["mean"] is None and "undefined" in numbers["caption"] or numbers["mean"] is not None


def test_the_tables_numbers_follow_from_the_stored_predictions(tree):
    import numpy as np

    rows = list(csv.DictReader((tree / "results/tiny/tables/table1.csv").open()))
    for row, timesteps in zip(rows, (1, 2, 2)):
        accuracies = []
        for run in row["run_ids"].split():
            result = next(
                p for p in (tree / "results/tiny/evals").glob("*/result.json") if json.loads(p.read_text())["run"] == run
            )
            with np.load(result.with_name("tokens.npz")) as arrays:
                accuracies.append(100 * (arrays["predictions"][timesteps - 1] == arrays["labels"]).mean())
        assert float(row["accuracy_mean"]) == pytest.approx(np.mean(accuracies), abs=0.005)
        assert float(row["accuracy_std"]) == pytest.approx(np.std(accuracies, ddof=1), abs=0.005)


def test_an_evaluation_says_what_the_last_epochs_record_says(tree):
    """Whatever training computes in, both are measured in float32."""
    for path in (tree / "results/tiny/evals").glob("*/result.json"):
        result = json.loads(path.read_text())
        record = (tree / "results/tiny/runs" / result["run"] / "record.jsonl").read_text().splitlines()
        last = [entry for entry in map(json.loads, record) if entry["event"] == "epoch"][-1]
        assert result["metrics"]["accuracy"] == last["metrics"]["test_accuracy"]


def test_a_second_run_does_nothing_and_soon(tree):
    started = time.monotonic()
    run = snakemake(tree)
    assert run.returncode == 0 and "Nothing to be done" in run.stdout + run.stderr
    assert time.monotonic() - started < 20


def test_new_file_times_train_and_evaluate_nothing(tree):
    for path in (*tree.glob("data/prepared/*/*"), *tree.glob("results/tiny/*/*/*"), tree / "Snakefile"):
        os.utime(path)
    assert not {"train", "evaluate"} & set(jobs(snakemake(tree, "-n")))


def test_what_is_measured_again_is_shown_again(tree):
    folder = next((tree / "results/tiny/evals").glob("at_snn-s0-*"))
    aside = tree / "aside"
    folder.rename(aside)
    try:
        wanted = jobs(snakemake(tree, "-n"))
        assert {rule: wanted.get(rule) for rule in ("train", "evaluate", "aggregate", "figure", "report")} == {
            "train": None, "evaluate": "1", "aggregate": "1", "figure": "1", "report": "1",
        }  # fmt: skip
    finally:
        aside.rename(folder)


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
        assert {rule: wanted[rule] for rule in ("train", "evaluate", "aggregate", "figure", "report")} == {
            "train": "2", "evaluate": "2", "aggregate": "1", "figure": "1", "report": "1",
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


@pytest.mark.parametrize(
    "config, message",
    (
        ({"scale": "smok"}, "scale 'smok' has no declaration smok.yaml .* did you mean 'smoke'"),
        ({"sclae": "paper"}, "unknown --config key 'sclae': did you mean 'scale'"),
        ({"scale": "laptop", "data": "/nowhere"}, "data folder /nowhere does not exist"),
    ),
)
def test_a_wrong_config_is_one_line_and_exit_code_2(tree, config, message):
    run = call(tree, "snakemake", "--cores", "2", "-n", "--config", *(f"{k}={v}" for k, v in config.items()))
    one_line(run, "Snakefile", message)


@pytest.mark.parametrize(
    "old, new, message",
    (
        ("lr: 2.0e-3", "learning_rate: 2.0e-3", r"tiny.yaml: unknown key recipes.short.learning_rate: "),
        ("parent: static", "parent: statik", "runs.at_snn.parent: 'statik' is not declared: did you mean 'static'"),
        ("dataset: shapes, network", "parent: at_snn, dataset: shapes, network", "a cycle, static <- at_snn <- static"),
    ),
)
def test_a_wrong_declaration_is_one_line_and_exit_code_2(tree, old, new, message):
    path = tree / "workflow/experiments/tiny.yaml"
    path.write_text(TINY.replace(old, new))
    try:
        one_line(snakemake(tree, "-n"), "Snakefile", message)
        one_line(call(tree, "pipeline.train", "--scale", "tiny", "--run", "static-s0"), "pipeline.train", message)
    finally:
        path.write_text(TINY)


def test_an_unknown_run_is_one_line(tree):
    one_line(
        call(tree, "pipeline.train", "--scale", "tiny", "--run", "static-s0-00000000"),
        "pipeline.train",
        "did you mean 'static-s0-",
    )
    one_line(
        call(tree, "pipeline.evaluate", "--scale", "tiny", "--evaluation", "x"),
        "pipeline.evaluate",
        "evaluation 'x' is not in scale",
    )


def test_a_truncated_archive_is_one_line_and_leaves_nothing(tree, tmp_path):
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(bytes.fromhex("1f8b0800") + b"0" * 500)
    run = call(tree, "pipeline.prepare", "--scale", "laptop", "--data", str(tmp_path))
    one_line(run, "pipeline.prepare", "damaged or truncated, get it again")
    assert not list(tree.glob("data/prepared/*cifar*")) and not list(tree.glob("data/prepared/.*"))


def test_the_checkpoint_of_another_run_is_one_line_and_nothing_is_lost(tree):
    one, other = run_id(tree, "static"), run_id(tree, "at_snn")
    path = tree / "results/tiny/weights" / other / "checkpoint.pt"
    kept = path.read_bytes()
    shutil.copy(tree / "results/tiny/weights" / one / "checkpoint.pt", path)
    try:
        run = call(tree, "pipeline.train", "--scale", "tiny", "--run", other)
        one_line(run, "pipeline.train", f"belongs to run {one}, not to {other}: delete it")
        assert path.read_bytes() == (tree / "results/tiny/weights" / one / "checkpoint.pt").read_bytes()
    finally:
        path.write_bytes(kept)


def test_evaluating_a_run_that_is_not_trained_says_what_to_do(tree):
    (tree / "workflow/experiments/bare.yaml").write_text(TINY.replace("scale: tiny", "scale: bare"))
    code = "from pipeline.campaign import open_campaign; print(open_campaign('bare').evaluations[0].id)"
    wanted = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=True).stdout.strip()
    run = call(tree, "pipeline.evaluate", "--scale", "bare", "--evaluation", wanted)
    one_line(run, "pipeline.evaluate", "is not trained yet: python -m pipeline.train --scale bare --run")
    one_line(call(tree, "pipeline.aggregate", "--scale", "bare"), "pipeline.aggregate", "is missing: run snakemake")


def test_a_number_that_differs_from_its_record_is_refused(tree):
    """Someone edited MLflow: the table is not made from it."""
    import sqlite3

    with sqlite3.connect(tree / "results/mlflow.db") as store:
        run = store.execute(
            "select run_uuid from tags where key = 'at_snn.id' and value like 'at_snn-s0-%' and run_uuid in (select run_uuid from tags where value = 'evaluation')"
        ).fetchone()[0]
        store.execute("update latest_metrics set value = value + 1 where key = 'accuracy' and run_uuid = ?", (run,))
    try:
        one_line(
            call(tree, "pipeline.aggregate", "--scale", "tiny"),
            "pipeline.aggregate",
            "MLflow says accuracy = .* its record says .*: the record counts",
        )
    finally:
        with sqlite3.connect(tree / "results/mlflow.db") as store:
            store.execute("update latest_metrics set value = value - 1 where key = 'accuracy' and run_uuid = ?", (run,))


def test_a_fresh_clone_with_an_empty_store_makes_the_same_tables(tree):
    tables = tree / "results/tiny/tables"
    before = (tables / "table1.csv").read_bytes(), (tables / "table1.md").read_bytes()
    for path in (tree / "results").glob("mlflow.db*"):
        path.unlink()
    run = call(tree, "pipeline.aggregate", "--scale", "tiny")
    assert run.returncode == 0, run.stderr
    assert ((tables / "table1.csv").read_bytes(), (tables / "table1.md").read_bytes()) == before


@pytest.mark.skipif(
    not os.environ.get("ATSNN_DATA"), reason="no real images here: set ATSNN_DATA to a folder that holds CIFAR-100"
)
def test_a_slice_of_real_images_goes_all_the_way_to_a_table(tree):
    content = TINY.replace("scale: tiny", "scale: slice").replace(
        "shapes: {train: 128, test: 60}", "cifar100: {train: 128, test: 60}"
    )
    content = content.replace("dataset: shapes", "dataset: cifar100").replace("[0, 1]", "[0]")
    (tree / "workflow/experiments/slice.yaml").write_text(content)
    run = snakemake(tree, scale="slice", ATSNN_DATA=os.environ["ATSNN_DATA"])
    assert run.returncode == 0, run.stdout + run.stderr
    rows = list(csv.DictReader((tree / "results/slice/tables/table1.csv").open()))
    assert [r["dataset"] for r in rows] == ["CIFAR-100"] * 3 and all("CIFAR-100" in r["origin"] for r in rows)
    meta = json.loads(next(tree.glob("data/prepared/cifar100-*/meta.json")).read_text())
    assert meta["official"] or all("not the official archive" in r["origin"] for r in rows)
    assert meta["counts"] == {"train": 128, "heldout": 1000, "test": 60}
