"""A new method, a new figure: its file and the declaration. CONTRIBUTING.md shows these."""

import csv
import json
import re
import sqlite3

from copied import ROOT, TINY, call, jobs, snakemake

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


def fenced(language, what):
    """The block of this language in the part of CONTRIBUTING.md about a method or a figure."""
    part = GUIDE.split(f"\n## A {what}, ")[1].split("\n## ")[0]
    (block,) = re.findall(rf"```{language}\n(.*?)```", part, re.S)
    return block


def test_the_method_of_the_guide_joins_the_contract_the_campaign_and_the_table(tree):
    (tree / "baselines/last_step.py").write_text(fenced("python", "method"))
    declaration = tree / "workflow/experiments/tiny.yaml"
    run, evaluation, row = fenced("yaml", "method").splitlines()[1::2]
    content = TINY.replace("evaluations: {", f"{run.replace('retrain', 'short')}\nevaluations: {{{evaluation.strip()}, ")
    declaration.write_text(content.replace("table1: [", f"table1: [{row.strip()[2:]}, "))
    contract = call(tree, "pytest", "-q", "-p", "no:xdist", "tests/test_structure.py", "-k", "contract and last_step")
    assert contract.returncode == 0 and "1 passed" in contract.stdout, contract.stdout
    wanted = jobs(snakemake(tree, "-n"))
    assert (wanted["train"], wanted["evaluate"]) == ("2", "2"), "only the new method runs"
    made = snakemake(tree)
    assert made.returncode == 0, made.stdout + made.stderr
    with (tree / "results/tiny/tables/table1.csv").open() as file:
        first = next(csv.DictReader(file))
    assert (first["method"], first["n"]) == ("Last step", "2")


def test_the_figure_of_the_guide_is_measured_drawn_and_shown(tree):
    (tree / "pipeline/reporting/figures/firing.py").write_text(fenced("python", "figure"))
    declaration = tree / "workflow/experiments/tiny.yaml"
    evaluation, figure = fenced("yaml", "figure").splitlines()[1::2]
    content = declaration.read_text().replace("evaluations: {", f"evaluations: {{{evaluation.strip()}, ", 1)
    declaration.write_text(content.replace("figures: {", f"figures: {{{figure.strip()}, "))
    contract = call(tree, "pytest", "-q", "-p", "no:xdist", "tests/test_structure.py", "-k", "contract and firing")
    assert contract.returncode == 0 and "1 passed" in contract.stdout, contract.stdout
    wanted = jobs(snakemake(tree, "-n"))
    assert "train" not in wanted and wanted["evaluate"] == "2", "the networks that it measures, and no training"
    made = snakemake(tree)
    assert made.returncode == 0, made.stdout + made.stderr
    numbers = json.loads((tree / "results/tiny/figures/firing.json").read_text())
    assert numbers["missing"] is None and [len(seed["rates"]) for seed in numbers["seeds"]] == [3, 3]
    assert all(0 <= rate <= 1 for seed in numbers["seeds"] for rate in seed["rates"])  # one this small may be silent
    assert numbers["title"] in (tree / "results/tiny/report.html").read_text()
    with sqlite3.connect(tree / "results/mlflow.db") as store:
        kept = store.execute("select value from latest_metrics where key = 'rates_1'").fetchall()
    assert sorted(x for (x,) in kept) == sorted(seed["rates"][0] for seed in numbers["seeds"])
