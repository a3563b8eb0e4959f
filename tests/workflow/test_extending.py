"""A new method is two files: the method and the declaration. CONTRIBUTING.md shows this one."""

import csv
import re

from copied import ROOT, TINY, call, jobs, snakemake

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


def fenced(language):
    """The only block of this language in CONTRIBUTING.md."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.S)
    return block


def test_the_method_of_the_guide_joins_the_contract_the_campaign_and_the_table(tree):
    (tree / "baselines/last_step.py").write_text(fenced("python"))
    declaration = tree / "workflow/experiments/tiny.yaml"
    run, evaluation, row = fenced("yaml").splitlines()[1::2]
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
