"""Plain `snakemake`, whatever it is started by, does what `make reproduce` does, and waits for those that run already."""

import fcntl
import os
import shutil
import subprocess
import sys
import time

import pytest
from copied import TINY, call, jobs, one_line, snakemake

LOCK = ".snakemake/run.lock"
LOOKS = (["-n"], ["--summary"], ["--unlock"], ["--list-rules"], ["--rulegraph"], ["--report", "report.html"])


@pytest.fixture(scope="module")
def cloned(tree):
    """A fresh clone of a published campaign: no weights but those that git keeps, and nothing that Snakemake knows of it."""
    assert call(tree, "pipeline.published", "--scale", "tiny").returncode == 0
    shutil.rmtree(tree / "results/tiny/weights")
    shutil.rmtree(tree / ".snakemake")
    return tree


@pytest.fixture
def site(tmp_path):
    """A profile as sites have them, of which a dry run shows that it was obeyed."""
    folder = tmp_path / "site"
    folder.mkdir()
    lines = "dry-run: true\nrerun-incomplete: true\nrerun-triggers: [code, input, mtime, params]\nlatency-wait: 5\ncores: 1\n"
    (folder / "config.yaml").write_text(lines)
    return folder


def evidence(tree):
    """All that a training leaves, by bytes, and the times of its files."""
    files = [*tree.glob("results/tiny/runs/*/*"), *tree.glob("results/tiny/weights/*/final.safetensors")]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_clone_of_a_published_campaign_is_complete_though_a_rule_has_another_text(cloned):
    before = evidence(cloned)
    rule = cloned / "workflow/rules/train.smk"
    rule.write_text(rule.read_text().replace("--log {log}", "--log {log} # as before"))
    run = snakemake(cloned)
    assert run.returncode == 0 and "the published weights of 4 runs" in run.stderr, run.stderr
    after = evidence(cloned)
    assert after.items() >= before.items() and len(list(cloned.glob("results/tiny/weights/*/final.safetensors"))) == 4
    assert jobs(snakemake(cloned, "-n")) == {}


def test_a_sites_profile_is_obeyed_when_it_is_named(cloned, site):
    shutil.rmtree(cloned / ".snakemake/metadata", ignore_errors=True)
    run = call(cloned, "snakemake", "--profile", str(site), "--config", "scale=tiny")
    assert run.returncode == 0 and "Nothing to be done" in run.stdout + run.stderr, run.stderr
    made = subprocess.run(
        ["workflow/run.sh", "all", "--config", "scale=tiny"],
        cwd=cloned,
        env=os.environ | {"PROFILE": str(site), "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0 and f"Using profiles {site} and" in made.stderr, made.stderr


def test_an_exported_profile_is_refused_in_one_line_that_says_how_to_ask_for_it(cloned, site):
    before = evidence(cloned)
    run = snakemake(cloned, SNAKEMAKE_PROFILE=str(site))
    one_line(run, "Snakefile", f"SNAKEMAKE_PROFILE={site} is only exported: --profile {site} .* unset SNAKEMAKE_PROFILE")
    assert evidence(cloned) == before
    for words in (["--profile", str(site)], ["--profile", "none"]):
        assert snakemake(cloned, "-n", *words, SNAKEMAKE_PROFILE="/elsewhere").returncode == 0, words
    assert snakemake(cloned, "-n", SNAKEMAKE_PROFILE="none").returncode == 0


@pytest.mark.parametrize(
    "words, message",
    (
        (["--workflow-profile", "slrum"], "there is no profile slrum: did you mean 'slurm'"),
        (["--workflow-profile", "none"], "triggers code, input, params, software-env finished trainings would be made again"),
        (
            ["--rerun-triggers", "code", "mtime"],
            "triggers code finished trainings would be made again, and their records deleted",
        ),
    ),
)
def test_what_would_make_finished_runs_again_is_refused(cloned, words, message):
    before = evidence(cloned)
    for also in ([], ["-n"]):
        one_line(snakemake(cloned, *words, *also), "Snakefile", message)
    assert evidence(cloned) == before


def test_settings_of_openmp_that_a_training_would_wait_for_are_refused_before_any_job(cloned):
    (cloned / "workflow/experiments/two.yaml").write_text(TINY.replace("scale: tiny", "scale: two\nthreads: 2"))
    one_line(
        snakemake(cloned, scale="two", OMP_THREAD_LIMIT="1"), "Snakefile", "OMP_THREAD_LIMIT=1 allows fewer threads than the 2"
    )
    assert not (cloned / "results/two").exists()
    assert snakemake(cloned, "-n", scale="two", OMP_THREAD_LIMIT="2").returncode == 0


def test_another_working_folder_is_refused(cloned, tmp_path):
    elsewhere = snakemake(tmp_path, "-n", "--snakefile", str(cloned / "Snakefile"))
    one_line(elsewhere, "Snakefile", f"works in {tmp_path}: start it in {cloned}, without --directory")
    shutil.copy(cloned / "params.yaml", tmp_path)
    one_line(snakemake(cloned, "--directory", str(tmp_path)), "Snakefile", f"works in {tmp_path}: start it in {cloned}")
    assert {path.name for path in tmp_path.iterdir()} <= {"params.yaml", ".snakemake"}


@pytest.mark.parametrize("words", LOOKS)
def test_what_only_shows_something_waits_for_nobody(cloned, words):
    with (cloned / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = call(cloned, "snakemake", "--cores", "1", *words, "--config", "scale=tiny")
    assert run.returncode == 0 and "waits for it to end" not in run.stderr, run.stderr


def test_a_second_graph_waits_and_the_lock_of_a_killed_one_does_not_stop_it(cloned):
    left = cloned / ".snakemake/locks"
    left.mkdir(parents=True, exist_ok=True)
    (left / "0.output.lock").write_text(str(cloned / "results/tiny/report.html") + "\nresults/tiny/report.html\n")
    words = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "scale=tiny"]
    with (cloned / LOCK).open("w") as lock, (cloned / "second.log").open("w") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(words, cwd=cloned, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while "waits for it to end" not in (cloned / "second.log").read_text() and time.monotonic() < until:
            time.sleep(0.1)
        assert second.poll() is None and left.exists()
    assert second.wait(60) == 0, (cloned / "second.log").read_text()
    assert "Nothing to be done" in (cloned / "second.log").read_text()


def test_finished_runs_without_weights_are_told_before_they_are_trained_again(cloned):
    published = cloned / "results/tiny/published"
    (weights,) = cloned.glob("results/tiny/weights/at_snn-s0-*/final.safetensors")
    aside = published.rename(cloned / "aside"), weights.rename(cloned / "aside.safetensors")
    run = snakemake(cloned, "-n")
    aside[0].rename(published), aside[1].rename(weights)
    assert jobs(run)["train"] == "1"
    assert "Snakefile: 1 finished runs of scale tiny lack their weights, and are trained again: " in run.stderr
