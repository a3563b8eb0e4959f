"""What a campaign leaves behind, and that its numbers follow from each other."""

import csv
import json
import os
import re
from collections import Counter

import numpy as np
import pytest
from copied import call, one_line, snakemake

from pipeline.core.atomic_files import replace_sealed
from pipeline.core.record import read


def rows_of(tree, name="table1.csv"):
    return list(csv.DictReader((tree / "results/tiny/tables" / name).open()))


def results_of(tree, run):
    """The results of a run's evaluations, and their arrays."""
    path = next((tree / "results/tiny/evals").glob(f"{run}-*.json"))
    return json.loads(path.read_text()), np.load(tree / "results/tiny/arrays" / f"{path.stem}.npz")


def test_a_campaign_ends_in_tables_figures_and_a_self_contained_report(tree):
    results, rows = tree / "results/tiny", rows_of(tree)
    assert [(r["method"], r["architecture"], r["dagger"], r["n"]) for r in rows] == [
        ("STATIC", "Spikformer-2-16", "", "2"),
        ("STATIC", "Spikformer-2-16", "yes", "2"),
        ("AT-SNN (γ = 5)", "Spikformer-2-16", "yes", "2"),
        ("AT-SNN^e (γ = 5)", "Spikformer-2-16", "", "2"),
    ]
    assert [float(r["timesteps"]) for r in rows[:3]] == [1, 2, 2] and 1 <= float(rows[3]["timesteps"]) <= 2
    assert all(r["scale"] == "tiny" and r["origin"] == "measured here on shapes (built in, drawn from a seed)" for r in rows)
    assert not any(r["gap"] or r["paper_accuracy"] for r in rows)
    assert float(rows[1]["avg_tokens"]) == 1 and float(rows[2]["avg_tokens"]) <= 0.8828
    page = (results / "report.html").read_text()
    assert all(run in page for r in rows for run in r["run_ids"].split())
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page) and "<script" not in page
    drawn = [path for path in (results / "figures").glob("*.json") if json.loads(path.read_text())["missing"] is None]
    assert page.count('src="data:image/svg+xml;base64,') == 1 + len(drawn) == page.count("<img")  # and the training curves
    links = set(re.findall(r'href="([^"#]+)"', page))
    assert len(links) > 15 and all((results / link).is_file() for link in links)
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors and all(f'id="{anchor}"' in page for anchor in anchors)
    table = (results / "tables/table1.html").read_text()
    assert all((results / "tables" / link).is_file() for link in re.findall(r'href="([^"]+)"', table))


def test_the_tables_numbers_follow_from_the_stored_logits(tree):
    """Accuracy, timesteps and tokens of every row, worked out again from logits alone."""
    for row in rows_of(tree):
        found = []
        for run in row["run_ids"].split():
            content, arrays = results_of(tree, run)
            name = row["evaluation"]
            logits, labels = arrays[f"{name}/logits"].astype(float), arrays[f"{name}/labels"]
            tokens = arrays[f"{name}/image_tokens"] if f"{name}/image_tokens" in arrays else np.ones(logits.shape[:2])
            told = content["evaluations"][name]["metrics"].get("exit", {}).get("at_snn_e", {})
            threshold = told["threshold"] if "^e" in row["method"] and told["threshold"] is not None else np.inf
            steps = len(logits) if "^e" in row["method"] else int(float(row["timesteps"]))
            found.append(literal_exit(logits, labels, tokens, steps, threshold))
        accuracy, timesteps, avg_tokens = np.transpose(found)
        assert float(row["accuracy_mean"]) == pytest.approx(accuracy.mean(), abs=0.005)
        assert float(row["accuracy_std"]) == pytest.approx(accuracy.std(ddof=1), abs=0.005)
        assert float(row["timesteps"]) == pytest.approx(timesteps.mean(), abs=0.005)
        assert float(row["avg_tokens"]) == pytest.approx(avg_tokens.mean(), abs=0.00005)


def literal_exit(logits, labels, tokens, steps, threshold):
    """Accuracy (%), mean timesteps and share of tokens, image by image; the confidence is one minus normalised entropy."""
    right, taken, used = 0, 0, 0.0
    for n, label in enumerate(labels):
        for t in range(1, steps + 1):
            mean = logits[:t, n].mean(axis=0)
            share = np.exp(mean - mean.max()) / np.exp(mean - mean.max()).sum()
            if max(0, 1 + (share * np.log(share)).sum() / np.log(len(share))) >= threshold:
                break
        right, taken, used = right + (mean.argmax() == label), taken + t, used + tokens[:t, n].sum()
    return 100 * right / len(labels), taken / len(labels), used / taken


def test_the_threshold_is_chosen_on_the_held_out_images(tree):
    """Every threshold that needs fewer timesteps there loses more than half a point."""
    content, arrays = results_of(tree, rows_of(tree)[3]["run_ids"].split()[0])
    told = content["evaluations"]["at_snn"]["metrics"]["exit"]["at_snn_e"]
    logits, labels = arrays["at_snn/heldout_logits"].astype(float), arrays["at_snn/heldout_labels"]
    assert len(labels) == 1000
    every = literal_exit(logits, labels, np.ones(logits.shape[:2]), 2, np.inf)
    threshold = np.inf if told["threshold"] is None else told["threshold"]
    chosen = literal_exit(logits, labels, np.ones(logits.shape[:2]), 2, threshold)
    assert chosen[:2] == pytest.approx((told["heldout_accuracy"], told["heldout_timesteps"]))
    assert chosen[0] >= every[0] - 0.5 - 1e-9
    for threshold in np.linspace(0, 1, 21):
        accuracy, timesteps, _ = literal_exit(logits, labels, np.ones(logits.shape[:2]), 2, threshold)
        assert timesteps >= chosen[1] or accuracy < every[0] - 0.5 + 1e-9


def test_savings_are_one_minus_tokens_times_timesteps(tree):
    rows, saved = rows_of(tree), rows_of(tree, "savings.csv")
    assert [r["method"] for r in saved][-2:] == ["AT-SNN (γ = 5)", "AT-SNN^e (γ = 5)"]
    for row in saved:
        table = next(r for r in rows if r["method"] == row["method"] and r["timesteps"] == row["timesteps"])
        expected = 100 * (1 - float(table["avg_tokens"]) * float(table["timesteps"]) / 2)
        assert float(row["fewer_tokens_mean"]) == pytest.approx(expected, abs=0.3)  # both factors are rounded means
        assert float(row["minus_static_mean"]) == pytest.approx(
            float(table["accuracy_mean"]) - float(rows[1]["accuracy_mean"]), abs=0.011
        )


def test_a_record_of_a_copy_says_why_it_names_no_commit(tree):
    """Copies lie in no checkout of their own, whatever folder tests are run in."""
    for path in (tree / "results/tiny/runs").glob("*/record.jsonl"):
        state = read(path)[0]["provenance"]["git"]
        assert state["commit"] is state["modified"] is None and state["why"].startswith("the project ")


def test_an_evaluation_says_what_the_last_epochs_record_says(tree):
    """Both are measured in the arithmetic of the training, and the same kernels."""
    for path in (tree / "results/tiny/evals").glob("*.json"):
        content = json.loads(path.read_text())
        record = (tree / "results/tiny/runs" / content["run"] / "record.jsonl").read_text().splitlines()
        last = [entry for entry in map(json.loads, record) if entry["event"] == "epoch"][-1]
        metrics = content["evaluations"][content["run"].split("-")[0]]["metrics"]
        assert metrics["accuracy"] == last["metrics"]["test_accuracy"] and metrics["images_per_second"] > 0
        made = json.loads(record[0])["provenance"]
        assert (content["precision"], content["kernels"]) == (made["precision"], made["kernels"])
        assert ("changed_from_float32" in metrics) == (made["precision"] in ("bf16", "fp16"))
        assert 0 <= metrics.get("changed_from_float32", 0) <= 100


def test_the_figure_shows_the_readings(tree):
    points = json.loads((tree / "results/tiny/figures/accuracy_over_tokens.json").read_text())["points"]
    rows = rows_of(tree)
    static = [p for p in points if p["evaluation"] == "static"]
    assert [p["tokens"] for p in static] == [50, 100] and [p["n"] for p in static] == [2, 2]
    assert [p["accuracy"] for p in static] == pytest.approx([float(r["accuracy_mean"]) for r in rows[:2]], abs=0.005)
    hollow = [p for p in points if not p["retrained_options"]]
    assert [p["title"] for p in hollow] == ["AT-SNN (γ = 10)"] and hollow[0]["tokens"] < 80


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


@pytest.mark.parametrize("damage", ({}, {"accuracy": "x"}, []))
def test_results_without_their_numbers_are_refused_even_where_mlflow_has_them(tree, damage):
    path = next((tree / "results/tiny/evals").glob("static-s0-*.json"))
    kept = path.read_text()
    content = json.loads(kept)
    content["evaluations"]["static"]["metrics"] = damage
    replace_sealed(path, {key: value for key, value in content.items() if key != "sha256"})
    try:
        one_line(
            call(tree, "pipeline.aggregate", "--scale", "tiny"), "pipeline.aggregate", f"{path.name} lacks the numbers of static"
        )
    finally:
        path.write_text(kept)


def test_a_fresh_clone_with_an_empty_store_makes_the_same_tables(tree):
    tables = tree / "results/tiny/tables"
    before = (tables / "table1.csv").read_bytes(), (tables / "table1.md").read_bytes()
    for path in (tree / "results").glob("mlflow.db*"):
        path.unlink()
    run = call(tree, "pipeline.aggregate", "--scale", "tiny")
    assert run.returncode == 0, run.stderr
    assert ((tables / "table1.csv").read_bytes(), (tables / "table1.md").read_bytes()) == before


SLICE = """
scale: slice
about: a slice of every real data set
datasets: {cifar10: {train: 64, test: 40}, cifar100: {train: 64, test: 40}, tiny_imagenet: {train: 64, test: 40}}
networks: {small: {depth: 2, width: 16, heads: 2, timesteps: 2}}
recipes: {short: {epochs: 1, cooldown_epochs: 0, warmup_epochs: 0, batch: 32}}
runs:
  cifar10: {method: static, dataset: cifar10, network: small, recipe: short, seeds: [0]}
  cifar100: {method: static, dataset: cifar100, network: small, recipe: short, seeds: [0]}
  tiny_imagenet: {method: static, dataset: tiny_imagenet, network: small, recipe: short, seeds: [0]}
  at_snn: {method: at_snn, options: {gamma: 3}, parent: tiny_imagenet, recipe: short}
evaluations: {cifar10: {run: cifar10}, cifar100: {run: cifar100}, tiny_imagenet: {run: tiny_imagenet}, at_snn: {run: at_snn}}
table1: [{evaluation: cifar10}, {evaluation: cifar100}, {evaluation: tiny_imagenet}, {evaluation: at_snn}]
figures: {blocks_per_token: {evaluations: [at_snn]}}
"""


@pytest.mark.skipif(not os.environ.get("ATSNN_DATA"), reason="no real images here: set ATSNN_DATA to a folder that holds them")
def test_slices_of_real_images_go_all_the_way_to_a_table(tree):
    (tree / "workflow/experiments/slice.yaml").write_text(SLICE)
    run = snakemake(tree, scale="slice", ATSNN_DATA=os.environ["ATSNN_DATA"])
    assert run.returncode == 0, run.stdout + run.stderr
    rows = list(csv.DictReader((tree / "results/slice/tables/table1.csv").open()))
    measured = [row for row in rows if row["n"]]
    assert [row["dataset"] for row in measured] == ["CIFAR-10", "CIFAR-100", "TinyImageNet", "TinyImageNet"]
    paper = Counter(row["dataset"] for row in rows if row["paper_accuracy"])
    assert paper == {"CIFAR-10": 15, "CIFAR-100": 13, "TinyImageNet": 10}, "its rows stand in the table, measured or not"
    assert not any(row["gap"] for row in rows) and all(row["dataset"] in row["origin"] for row in measured)
    for path in tree.glob("data/prepared/[ct]*/meta.json"):
        meta = json.loads(path.read_text())
        assert meta["counts"] == {"train": 64, "heldout": 1000, "test": 40}
        origins = [row["origin"] for row in measured if row["dataset"] == meta["title"]]
        assert origins and (meta["official"] or all("not the official archive" in origin for origin in origins))
