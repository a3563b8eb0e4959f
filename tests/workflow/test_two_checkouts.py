"""Two checkouts on one MLflow: each keeps its runs, its campaign and its report, and pages show no password."""

import csv
import json
import shutil
import sqlite3
import subprocess
import sys

import pytest
from copied import call, one_line

SECRET = "hush-hush"


@pytest.fixture(scope="module")
def two(tree):
    """A checkout with a campaign, a clone with the same records, and the store that both have filled."""
    other, store = tree.parent / "clone", tree.parent / "shared.db"
    shutil.copytree(tree, other, symlinks=True)
    for path in (*other.glob("results/mlflow.db*"), other / "results/.checkout"):
        path.unlink()
    page = other / "results/tiny/figures/accuracy_over_tokens.svg"
    page.write_text(page.read_text().replace("</svg>", "<!-- of the clone --></svg>"))  # so that the reports can be told apart
    for folder in (tree, other):
        for stage in ("aggregate", "report"):
            run = call(folder, f"pipeline.{stage}", "--scale", "tiny", MLFLOW_TRACKING_URI=f"sqlite:///{store}")
            assert run.returncode == 0 and "tracking:" not in run.stderr, run.stderr
    return tree, other, store


def links(folder):
    return {row["id"]: row["mlflow_run"] for row in csv.DictReader((folder / "results/tiny/links.csv").open())}


def name_of(folder):
    return json.loads((folder / "results/.checkout").read_text())["checkout"]


def test_each_has_its_runs_its_campaign_and_its_report(two):
    tree, other, store = two
    assert links(tree).keys() == links(other).keys() and not set(links(tree).values()) & set(links(other).values())
    with sqlite3.connect(store) as database:
        of = dict(database.execute("select run_uuid, value from tags where key = 'checkout'"))
        campaigns = dict(database.execute("select run_uuid, artifact_uri from runs where name like 'campaign tiny of %'"))
        parents = dict(database.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'"))
    for folder in (tree, other):
        assert {of[run] for run in links(folder).values()} == {name_of(folder)}
        (parent,) = {parents[run] for run in links(folder).values()}
        report = campaigns[parent].removeprefix("file://")
        assert open(f"{report}/report.html").read() == (folder / "results/tiny/report.html").read_text()
    assert (
        len(campaigns) == 2
        and (tree / "results/tiny/report.html").read_text() != (other / "results/tiny/report.html").read_text()
    )


def test_the_view_has_both_and_a_column_that_tells_them_apart(two):
    tree, other, store = two
    with sqlite3.connect(store) as database:
        (view,) = database.execute(
            "select value from experiment_tags where key = 'mlflow.sharedViewState.evaluations'"
        ).fetchone()
    state = json.loads(json.loads(view)["state"])
    assert "tags.`checkout`" in state["selectedColumns"]
    code = "import sys; from mlflow import MlflowClient; print(*sorted(r.data.tags['checkout'] for r in MlflowClient(sys.argv[1]).search_runs(['1'], sys.argv[2])))"
    found = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{store}", state["searchFilter"]], capture_output=True, text=True, check=True
    ).stdout.split()
    evaluations = [row for row in csv.DictReader((tree / "results/tiny/links.csv").open()) if row["kind"] == "evaluation"]
    probes = sum(row["id"].startswith("static_by_block") for row in evaluations)
    assert found == sorted([name_of(tree), name_of(other)] * (len(evaluations) - probes))


def test_a_table_is_compared_with_the_runs_of_its_own_checkout(two):
    tree, other, store = two
    run = next(run for name, run in links(other).items() if name.startswith("at_snn-s0"))
    change = "update latest_metrics set value = value + ? where key = 'accuracy' and run_uuid = ?"
    with sqlite3.connect(store) as database:
        database.execute(change, (1, run))
    words = ("pipeline.aggregate", "--scale", "tiny")
    one_line(call(other, *words, MLFLOW_TRACKING_URI=f"sqlite:///{store}"), "pipeline.aggregate", "the record counts")
    assert call(tree, *words, MLFLOW_TRACKING_URI=f"sqlite:///{store}").returncode == 0
    with sqlite3.connect(store) as database:
        database.execute(change, (-1, run))


def test_a_store_with_all_digits_is_no_other_store(two):
    """What a version before has written differs from the records in nothing that tables show."""
    tree, _, store = two
    run = next(run for name, run in links(tree).items() if name.startswith("at_snn-s0"))
    with sqlite3.connect(store) as database:
        database.execute("update latest_metrics set value = value + 1e-13 where key like '%accuracy%' and run_uuid = ?", (run,))
    done = call(tree, "pipeline.aggregate", "--scale", "tiny", MLFLOW_TRACKING_URI=f"sqlite:///{store}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "stage, address, cause",
    (
        ("tracking", f"http://anna:{SECRET}@127.0.0.1:1", "store http://127.0.0.1:1 can't be used .connection refused"),
        ("aggregate", f"http://anna:{SECRET}@no.such.host.invalid:5000", "no machine of this name is known"),
        ("tracking", f"postgresql://anna:{SECRET}@127.0.0.1:1/db", "connection refused"),
        ("tracking", f"http://127.0.0.1:1?token={SECRET}", "connection refused"),
    ),
)
def test_a_store_that_fails_is_one_line_without_its_password(tree, stage, address, cause):
    run = call(tree, f"pipeline.{stage}", "--scale", "tiny", MLFLOW_TRACKING_URI=address)
    one_line(run, f"pipeline.{stage}", cause)
    assert SECRET not in run.stdout + run.stderr


def test_the_page_that_is_named_has_no_password(two):
    tree, _, store = two
    words = ("pipeline.tracking", "--scale", "tiny")
    run = call(tree, *words, "--address", f"http://anna:{SECRET}@host:5000/", MLFLOW_TRACKING_URI=f"sqlite:///{store}")
    assert f"of this checkout, {name_of(tree)}: http://host:5000/#/experiments/" in run.stdout and SECRET not in run.stdout
    run = call(tree, *words, MLFLOW_TRACKING_URI=f"sqlite:///{store}")
    assert 'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" .venv/bin/mlflow ui' in run.stdout
    run = call(tree, *words)
    assert ": http://127.0.0.1:5000/#/experiments/" in run.stdout
