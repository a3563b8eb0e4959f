"""What git keeps of a small campaign: weights that a clone goes on with, and curves that a new run is compared with."""

import json
import math
import re
import shutil

import pandas as pd
import pytest
import yaml
from copied import call, jobs, one_line, run_id, snakemake

CURVES = "baselines/reference_curves.csv"


@pytest.fixture(scope="module")
def kept(tree):
    """The tiny campaign, with its weights published and its curves kept, and no curves of other scales."""
    (tree / CURVES).unlink(missing_ok=True)
    for stage in ("published", "reference"):
        run = call(tree, f"pipeline.{stage}", "--scale", "tiny")
        assert run.returncode == 0, run.stderr
    return tree


def check(tree, run):
    return call(tree, "pipeline.reference", "--scale", "tiny", "--check", run)


def epochs(tree, run):
    path = tree / "results/tiny/runs" / run / "record.jsonl"
    return [e["metrics"] for e in map(json.loads, path.read_text().splitlines()) if e["event"] == "epoch" and e["epoch"]]


def test_a_clone_with_published_weights_trains_nothing(kept):
    weights = kept / "results/tiny/weights"
    before = {path.parent.name: path.read_bytes() for path in weights.glob("*/final.safetensors")}
    shutil.rmtree(weights)
    planned = snakemake(kept, "-n")
    assert jobs(planned) == {} and "lack their weights" not in planned.stderr
    assert {path.parent.name: path.read_bytes() for path in weights.glob("*/final.safetensors")} == before and len(before) == 4
    lacks = ("data/prepared", "results/tiny/arrays", ".snakemake")  # a clone does
    for folder in lacks:
        shutil.move(kept / folder, kept / "aside" / folder)
    planned = jobs(snakemake(kept, "-n"))
    shutil.rmtree(kept / ".snakemake")
    for folder in lacks:
        shutil.move(kept / "aside" / folder, kept / folder)
    assert set(planned) == {"prepare", "all", "total"}, "what git holds is not made again"


def test_published_weights_that_were_changed_are_refused(kept):
    run = run_id(kept, "static")
    place, copy = (kept / "results/tiny" / name for name in (f"weights/{run}/final.safetensors", f"published/{run}.safetensors"))
    whole = copy.read_bytes()
    copy.write_bytes(whole[:-1] + b"?")
    place.unlink()
    one_line(call(kept, "pipeline.published"), "pipeline.published", f"{run}.safetensors is not what its run ended with")
    copy.write_bytes(whole)
    assert call(kept, "pipeline.published").returncode == 0 and place.read_bytes() == whole


def test_the_reference_is_the_mean_of_the_seeds_and_their_pooled_spread(kept):
    table = pd.read_csv(kept / CURVES)
    assert set(table.scale) == {"tiny"} and table.kind.nunique() == 2 and set(table.n) == {2}
    losses = {
        label: [epochs(kept, run_id(kept, label, seed))[1]["train_loss"] for seed in (0, 1)] for label in ("static", "at_snn")
    }
    for title, own in (("STATIC", losses["static"]), ("AT-SNN (γ = 5)", losses["at_snn"])):
        line = table[(table.title == title) & (table.epoch == 2) & (table.metric == "train_loss")].iloc[0]
        assert line["mean"] == pytest.approx(sum(own) / 2, abs=1e-6)
        pooled = math.sqrt(sum((a - b) ** 2 / 2 for a, b in losses.values()) / 2)
        assert line.deviation == pytest.approx(pooled, abs=1e-6) and pooled > 0


def test_a_run_of_the_reference_is_as_expected_and_one_that_learns_nothing_is_not(kept):
    run = run_id(kept, "static", 1)
    told = check(kept, run)
    assert told.returncode == 0 and "it is one of them" in told.stdout and "as expected so far, to epoch 2" in told.stdout
    path = kept / "results/tiny/runs" / run / "record.jsonl"
    whole = path.read_text()
    entries = [json.loads(line) for line in whole.splitlines()]
    for entry in entries:
        if entry.get("epoch") == 2:
            entry["metrics"]["train_loss"] = 9.0
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    told = check(kept, run)
    path.write_text(whole)
    assert told.returncode == 1 and "! epoch 2: training loss 9.000, expected" in told.stdout
    assert told.stdout.endswith("off from epoch 2 on: look at data, recipe and versions before more time goes into it\n")


def test_what_a_record_lacks_is_off(kept):
    run = run_id(kept, "at_snn")
    path = kept / "results/tiny/runs" / run / "record.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace('"heldout_accuracy"', '"another"'))
    told = check(kept, run)
    path.write_text(whole)
    assert told.returncode == 1 and "! epoch 1: held-out accuracy (%) is not in the record, expected" in told.stdout


def test_expected_is_what_is_possible(kept):
    told = check(kept, run_id(kept, "static")).stdout
    assert re.search(r"average tokens 1.000, expected 0\.9\d+ to 1\.000", told)
    lows = [float(low) for low in re.findall(r"held-out accuracy .* expected (\S+) to", told)]
    assert len(lows) == 2 and min(lows) >= 0


def test_a_run_of_other_images_is_read_from_its_own_declaration(kept):
    runs = kept / "results/tiny/runs"
    for label in ("static", "at_snn"):  # as a clone has them, whose own images make other ids
        shutil.copytree(runs / run_id(kept, label), runs / f"{label}-s0-12345678")
        path = runs / f"{label}-s0-12345678" / "declaration.yaml"
        changed = yaml.safe_load(path.read_text())
        changed["data"] |= {"origin": "other images"}
        path.write_text(yaml.safe_dump(changed | ({"parent": "static-s0-12345678"} if label == "at_snn" else {})))
    told = check(kept, "at_snn-s0-12345678")
    (runs / "static-s0-12345678/declaration.yaml").write_text("parent: static-s0-12345678\ndata: 3")
    bad = check(kept, "at_snn-s0-12345678")
    for label in ("static", "at_snn"):
        shutil.rmtree(runs / f"{label}-s0-12345678")
    assert told.returncode == 0 and "AT-SNN (γ = 5) beside 2 reference seeds" in told.stdout, told.stderr
    one_line(bad, "pipeline.reference", "static-s0-12345678/declaration.yaml is no declaration of a run")


def test_a_run_without_a_reference_says_which_there_are(kept):
    table = pd.read_csv(kept / CURVES)
    table[table.title != "STATIC"].to_csv(kept / CURVES, index=False)
    run = check(kept, run_id(kept, "static"))
    table.to_csv(kept / CURVES, index=False)
    one_line(
        run, "pipeline.reference", r"no reference for STATIC .* known are AT-SNN \(γ = 5\) on shapes, Spikformer-2-16, scale tiny"
    )
    one_line(check(kept, "static-s0-00000000"), "pipeline.reference", "did you mean")
    one_line(check(kept, ""), "pipeline.reference", "which run")


def test_a_clone_makes_arrays_again_as_soon_as_something_is_to_be_made_of_them(kept):
    figure, arrays = kept / "results/tiny/figures/blocks_per_token.svg", kept / "results/tiny/arrays"
    arrays.rename(kept / "arrays_aside")
    whole = figure.read_bytes()
    figure.unlink()
    made = kept / "results/tiny/made"
    (mark,) = made.glob("blocks_per_token-*.json")
    text = mark.read_text()
    mark.unlink()
    wanted = jobs(snakemake(kept, "-n"))
    figure.write_bytes(whole)
    mark.write_text(text)
    unneeded = jobs(snakemake(kept, "-n"))
    shutil.rmtree(arrays, ignore_errors=True)
    (kept / "arrays_aside").rename(arrays)
    assert wanted["evaluate"] == "4" and "train" not in wanted and unneeded == {}
