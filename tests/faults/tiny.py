"""A tiny campaign in a folder of its own, run as `make` runs it, and what it comes to."""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
from copied import ROOT, TINY, copy_tree

sys.path.insert(0, str(ROOT))

DECLARATION = TINY.replace("scale: tiny", "scale: tiny\ncheckpoint_minutes: 0.002")
PATIENCE = 900  # seconds until a campaign that is left alone must be done
STAGE = re.compile(r"-m pipeline\.(\w+)")
CLOCKS = ("time", "seconds", "images_per_second", "waiting_for_data", "provenance", "device", "sha256")  # what no two runs share

TWICE = """
from pipeline.mirror.mlflow_run import open_client
client, found = open_client(), []
for experiment in client.search_experiments():
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    for run in runs:
        unended = run.data.tags.get("kind") == "training" and run.info.status == "RUNNING"
        found += [f"{run.info.run_name}, not ended"] if unended else []
        for key in run.data.metrics:
            steps = [metric.step for metric in client.get_metric_history(run.info.run_id, key)]
            found += [f"{run.info.run_name} {key}"] if len(steps) > len(set(steps)) else []
print("; ".join(found))
"""


class Campaign:
    """The tiny campaign in a folder, new, or a copy of another folder's with all that it has made."""

    def __init__(self, folder: Path, like: Path | None = None, **environment: str):
        self.folder = folder
        clean = {key: value for key, value in os.environ.items() if key not in ("ATSNN_DATA", "MLFLOW_TRACKING_URI")}
        self.environment = clean | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | environment
        if like:
            shutil.copytree(like, folder, symlinks=True)
        else:
            copy_tree(folder)
        (folder / "workflow/experiments/tiny.yaml").write_text(DECLARATION)

    @property
    def results(self) -> Path:
        return self.folder / "results/tiny"

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    def start(self, *command: str, **environment: str) -> subprocess.Popen:
        """A command in its folder; the whole graph where none is given."""
        words = command or ("workflow/run.sh", "all", "--config", "scale=tiny")
        with self.log.open("a") as log:
            return subprocess.Popen(
                words, cwd=self.folder, env=self.environment | environment, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Its exit code and what it said."""
        told = len(self.log.read_text()) if self.log.exists() else 0
        code = self.start(*command, **environment).wait(PATIENCE)
        return code, self.log.read_text()[told:]

    def finish(self, running: subprocess.Popen | None = None) -> None:
        """Left alone, and started again whenever it ends with a failure, it comes to its end."""
        began, running = time.monotonic(), running or self.start()
        while running.wait() != 0:
            if time.monotonic() - began > PATIENCE:
                raise SystemExit(f"not done {PATIENCE} s after the last fault: see {self.log}")
            running = self.start()
        self.must_be_done()

    def must_be_done(self) -> None:
        """What ends with success has made everything."""
        if not (self.results / "report.html").exists():
            raise SystemExit(f"it ended with success, and there is no report: see {self.log}")

    def processes(self) -> dict[int, str]:
        """Python processes that work on it, those whose parent is gone too: by their stage, or `snakemake`."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if Path(os.readlink(place / "cwd")) != self.folder:
                    continue
                words = (place / "cmdline").read_bytes().decode().replace("\0", " ")
            except OSError:  # it has just ended, or is not ours
                continue
            stage = STAGE.search(words)
            if "/python" in words.split(" ")[0] and (stage or "snakemake" in words):
                found[int(place.name)] = stage[1] if stage else "snakemake"
        return found

    def forget(self) -> None:
        """All that it made, so that it can be run again."""
        for name in ("results/tiny", "results/mlartifacts", "data", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for store in (self.folder / "results").glob("mlflow.db*"):
            store.unlink()

    def forget_run(self, label: str) -> str:
        """A training with all that came of it, but not what it started from; returns its id."""
        run = self.run_id(label)
        for path in (*self.results.glob(f"*/{run}"), *self.results.glob(f"*/{run}-*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.forget_products()
        return run

    def forget_products(self) -> None:
        """Tables, figures, report: all is read again."""
        for name in ("tables", "figures", "made", "partial"):
            shutil.rmtree(self.results / name, ignore_errors=True)
        (self.results / "report.html").unlink(missing_ok=True)

    def run_id(self, label: str, seed: int = 0) -> str:
        ids = {path.name for path in (*self.results.glob("runs/*"), *self.results.glob("weights/*"))}
        (found,) = (name for name in ids if name.startswith(f"{label}-s{seed}-"))
        return found

    def outcome(self) -> dict:
        """All its numbers, without clocks: files by their bytes, records and evaluations by what they say."""
        half_written = [path for root in (self.results, self.folder / "data") for path in root.rglob(f".*.{platform.node()}.*")]
        told: dict = {str(path.relative_to(self.folder)): "left" for path in half_written}
        for pattern in ("weights/*/final.safetensors", "arrays/*.npz", "figures/*", "tables/[!.]*"):
            told |= {str(p.relative_to(self.results)): p.read_bytes() for p in self.results.glob(pattern)}
        for path in self.results.glob("evals/*.json"):
            told[str(path.relative_to(self.results))] = timeless(json.loads(path.read_text()))
        for path in self.results.glob("runs/*/record.jsonl"):
            entries = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
            told[str(path.relative_to(self.results))] = [entry for entry in entries if entry["event"] != "resume"]
        return told

    def logged_twice(self) -> str:
        """Metrics of MLflow that have a step more than once, and trainings that never end there, in words."""
        told = subprocess.run(
            [sys.executable, "-c", TWICE], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        return told.stdout.strip() or told.stderr.strip() * bool(told.returncode)


def timeless(content):
    if isinstance(content, dict):
        return {key: timeless(x) for key, x in content.items() if key not in CLOCKS}
    return [timeless(x) for x in content] if isinstance(content, list) else content


def differences(calm: dict, disturbed: dict) -> list[str]:
    return sorted(name for name in calm.keys() | disturbed.keys() if calm.get(name) != disturbed.get(name))


class Log:
    """The faults that were tried and what came of them, a JSON object a line."""

    def __init__(self, path: Path, **common):
        self.path, self.common = path, common
        path.parent.mkdir(parents=True, exist_ok=True)

    def note(self, event: str, **content) -> None:
        line = json.dumps({"event": event, "time": round(time.time(), 1)} | self.common | content)
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def asked(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Path, Log]:
    """A series' arguments, those of all series among them; its folder, which must be new; its log."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="empty or absent; the campaigns lie in it")
    parser.add_argument("--calm", type=Path, help="a folder with the tiny campaign, done (default: it is run first)")
    parser.add_argument("--log", type=Path, help="append to this file (default: FOLDER/faults.jsonl)")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty: delete it, or name another folder or seed")
    return options, folder, Log(options.log or folder / "faults.jsonl", seed=options.seed)
