"""A new method, a new figure, a new backbone: its files and the declaration. CONTRIBUTING.md shows these."""

import csv
import hashlib
import json
import re
import sqlite3

import yaml
from copied import ROOT, TINY, call, jobs, snakemake

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


def all_fenced(language, what):
    """The blocks of this language in the part of CONTRIBUTING.md about a method, a figure or a backbone."""
    part = GUIDE.split(f"\n## A {what}, ")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", part, re.S)


def fenced(language, what):
    """The only block of this language there."""
    (block,) = all_fenced(language, what)
    return block


def check_house(tree, name):
    """What is added keeps the contract of its kind and the shape of the house, as `make test` checks them."""
    files = [f"tests/test_{subject}.py" for subject in ("contracts", "structure", "rooms")]
    chosen = f"contract and {name} or not contract and not higher and not heavy"
    run = call(tree, "pytest", "-v", "-p", "no:xdist", *files, "-k", chosen)
    kept = re.findall(rf"test_contracts\.py::\w+\[{name}\] PASSED", run.stdout)
    assert run.returncode == 0 and len(kept) == 1 and "test_rooms.py::" in run.stdout, run.stdout


def test_the_method_of_the_guide_joins_the_contract_the_campaign_and_the_table(tree):
    (tree / "baselines/last_step.py").write_text(fenced("python", "method"))
    declaration = tree / "workflow/experiments/tiny.yaml"
    run, evaluation, row = fenced("yaml", "method").splitlines()[1::2]
    content = TINY.replace("evaluations: {", f"{run.replace('retrain', 'short')}\nevaluations: {{{evaluation.strip()}, ")
    declaration.write_text(content.replace("table1: [", f"table1: [{row.strip()[2:]}, "))
    check_house(tree, "last_step")
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
    check_house(tree, "firing")
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


def test_the_backbone_of_the_guide_is_trained_evaluated_counted_and_stands_in_the_table(tree):
    """Its folder and the declaration, and nothing else of the project."""
    before = hashes(tree)
    folder = tree / "models/spiking_mlp"
    folder.mkdir()
    for name, text in zip(("__init__.py", "network.py"), all_fenced("python", "backbone")):
        (folder / name).write_text(text)
    declaration = tree / "workflow/experiments/tiny.yaml"
    content = yaml.safe_load(declaration.read_text())
    for section, added in yaml.safe_load(
        fenced("yaml", "backbone").replace("pretrain", "short").replace("retrain", "short")
    ).items():
        content[section] = content[section] + added if isinstance(added, list) else content[section] | added
    declaration.write_text(yaml.safe_dump(content, sort_keys=False))
    check_house(tree, "spiking_mlp")
    wanted = jobs(snakemake(tree, "-n"))
    assert (wanted["train"], wanted["evaluate"]) == ("2", "2"), "only the new network is trained"
    made = snakemake(tree)
    assert made.returncode == 0, made.stdout + made.stderr
    static, at_snn = (row for row in table(tree, "table1") if row["architecture"] == "Spiking MLP-2-16")
    assert (static["method"], at_snn["method"]) == ("STATIC", "AT-SNN (γ = 10)")
    assert float(static["avg_tokens"]) == 1 and float(at_snn["avg_tokens"]) <= (54 + 44) / 128
    layers = [row["layer"] for row in table(tree, "energy") if row["architecture"] == "Spiking MLP-2-16"]
    assert layers == ["patches", "layer", "layer", "head", "patches", "match", "layer", "match", "layer", "head"]
    assert "Spiking MLP-2-16" in (tree / "results/tiny/report.html").read_text()
    plan = call(tree, "pipeline.plan", "--scale", "tiny")
    assert plan.returncode == 0 and re.search(r"mlp_at_snn +1 +1 +2", plan.stdout), plan.stdout + plan.stderr
    known = call(tree, "pipeline.train", "--scale", "tiny", "--run", "mlp_static-s0")
    assert known.returncode == 2 and "did you mean 'mlp_static-s0-" in known.stderr
    changed = {name for name, digest in hashes(tree).items() if before.get(name) != digest}
    assert changed == {"models/spiking_mlp/__init__.py", "models/spiking_mlp/network.py", "workflow/experiments/tiny.yaml"}


def table(tree, name):
    with (tree / f"results/tiny/tables/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def hashes(tree):
    """The project's own files, by their digests."""
    places = [
        *tree.glob("*.*"),
        *(path for part in ("models", "baselines", "pipeline", "workflow") for path in (tree / part).rglob("*.*")),
    ]
    files = [path for path in places if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
