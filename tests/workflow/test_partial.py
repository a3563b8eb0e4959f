"""Where runs are missing, a table of the others says which, and why."""

import csv
import json

import pytest
from copied import call, one_line, run_id, snakemake


@pytest.fixture
def failed(tree):
    """The second seed of AT-SNN is not done: it has failed."""
    folder, aside = tree / "results/tiny/runs" / run_id(tree, "at_snn", 1), tree / "aside"
    (results,) = (tree / "results/tiny/evals").glob(f"{folder.name}-*.json")
    folder.rename(aside)
    results.rename(aside / results.name)
    folder.mkdir()
    (folder / "failed.json").write_text(json.dumps({"run": folder.name, "reason": "the loss is nan in epoch 2, step 3"}))
    yield folder.name
    (aside / results.name).rename(results)
    (folder / "failed.json").unlink()
    folder.rmdir()
    aside.rename(folder)


def test_a_graph_with_a_failed_run_ends_with_a_table_of_the_others_that_names_it(tree, failed):
    whole = {path.name: path.read_bytes() for path in (tree / "results/tiny/tables").iterdir()}
    run = snakemake(tree)
    told = run.stdout + run.stderr
    assert run.returncode != 0
    assert "the loss is nan in epoch 2, step 3; it has failed before, and is not tried again: mend the cause" in told
    assert "it has failed before" in (tree / f"results/tiny/logs/train/{failed}.log").read_text()
    assert f"- {failed}: it failed: the loss is nan in epoch 2, step 3" in told and "Missing, 1 of 4 runs:" in told
    rows = list(csv.DictReader((tree / "results/tiny/partial/table1.csv").open()))
    ours = [row for row in rows if row["n"]]
    assert [row["n"].removesuffix(".0") for row in ours] == ["2", "2", "1", "1"]
    reason = "seed 1 is missing: it failed: the loss is nan in epoch 2, step 3"
    assert [reason in row["remarks"] for row in ours] == [False, False, True, True]
    for name in ("table1.md", "table1.html"):
        assert reason in (tree / "results/tiny/partial" / name).read_text()
    kept = {path.name: path.read_bytes() for path in (tree / "results/tiny/tables").iterdir()}
    assert kept == whole, "the tables of the whole campaign are not made from a part of it"


def test_the_whole_table_takes_the_place_of_the_partial_one(tree):
    run = call(tree, "pipeline.partial", "--scale", "tiny")
    assert run.returncode == 0 and "Missing, 0 of 4 runs" in run.stdout
    table = (tree / "results/tiny/partial/table1.csv").read_bytes()
    run = call(tree, "pipeline.aggregate", "--scale", "tiny")
    assert run.returncode == 0 and not (tree / "results/tiny/partial").exists()
    assert (tree / "results/tiny/tables/table1.csv").read_bytes() == table


def test_without_any_evaluation_there_is_no_table(tree):
    one_line(call(tree, "pipeline.partial", "--scale", "smoke"), "pipeline.partial", "no evaluation of scale smoke is there")
