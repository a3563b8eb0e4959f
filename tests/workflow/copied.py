"""A campaign as a user runs it, in a copy of this tree. Each file of tests gets a copy of one that is run once."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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
evaluations: {static: {run: static}, at_snn: {run: at_snn, exits: [at_snn_e]}, at_snn_at_10: {run: at_snn, options: {gamma: 10}}, static_by_block: {run: static, probe: accuracy_by_block_and_timestep}}
table1: [{evaluation: static, timesteps: 1}, {evaluation: static}, {evaluation: at_snn}, {evaluation: at_snn, exit: at_snn_e}]
figures: {blocks_per_token: {evaluations: [at_snn]}, accuracy_over_tokens: {evaluations: [static, at_snn, at_snn_at_10]}, accuracy_by_block_and_timestep: {evaluations: [static_by_block]}, merged_and_halted: {evaluations: [static]}}
"""
SNAKEMAKE_SAYS = ("Config file", "Using workflow specific profile", "Using profile")  # before it reads the Snakefile


def call(folder, *words, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("ATSNN_DATA", "MLFLOW_TRACKING_URI", "SNAKEMAKE_PROFILE")}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=500, env=clean | environment
    )


def snakemake(folder, *words, scale="tiny", **environment):
    return call(folder, "snakemake", "--cores", "2", *words, "--config", f"scale={scale}", **environment)


def jobs(run):
    """The jobs that a dry run says it would run, by rule."""
    text = run.stdout + run.stderr
    assert run.returncode == 0, text
    if "Nothing to be done" in text:
        return {}
    return dict(re.findall(r"^(\w+) +(\d+)$", text.split("Reasons:")[0], re.M))


def one_line(run, stage, message):
    """Exit code 2 and one line from the stage, no traceback."""
    assert run.returncode == 2, run.stderr
    lines = [line for line in run.stderr.splitlines() if line and not line.startswith(SNAKEMAKE_SAYS)]
    assert len(lines) == 1 and lines[0].startswith(f"{stage}: error: ") and re.search(message, lines[0]), run.stderr


def ask(folder, expression, scale="tiny"):
    """What an expression on a scale's `campaign` gives, as text."""
    code = f"from pipeline.command_line import open_campaign; campaign = open_campaign({scale!r}); print({expression})"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def run_id(folder, label, seed=0, scale="tiny"):
    return ask(folder, f"campaign.run({label!r}, {seed}).id", scale)


def processes(*parts):
    """Those whose command has all these texts in it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().decode()
        except OSError:  # it has just ended
            continue
        if all(part in command for part in parts):
            found.append(int(place.name))
    return found


def copy_tree(folder):
    """What git would add of this project if it were in no repository, without data and results: a ZIP's content can be copied too."""
    with tempfile.TemporaryDirectory() as empty:
        own = os.environ | {"GIT_DIR": empty, "GIT_WORK_TREE": str(ROOT)}
        subprocess.run(["git", "init", "--quiet"], env=own, check=True)
        words = ["git", "ls-files", "-o", "--exclude-standard"]
        listed = subprocess.run(words, cwd=ROOT, env=own, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        made = name.startswith(("data/", "results/")) and name != "results/README.md"
        if (ROOT / name).is_file() and not made:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def finish_campaign(folder):
    """Copy this project into a folder, and run the tiny campaign there."""
    copy_tree(folder)
    (folder / "workflow/experiments/tiny.yaml").write_text(TINY)
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
