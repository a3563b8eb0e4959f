"""A campaign whose processes are killed at random until it is done, compared with one that nobody disturbed.

python tests/faults/kills.py --kills 40 --seed 0 --folder FOLDER. A fault is a moment, one of the processes alive then (half of
them trainings, as long as there are any) and a signal: SIGKILL or SIGTERM to one process, or SIGKILL to all at once. With some
of them a file is damaged too, as a bad disk does it: a bit of a training's last checkpoint flipped, its end cut off, its record
cut off, or MLflow's store removed. FOLDER/faults.jsonl has each; the exit code is 1 where a number, a weight or a table differs
in the end.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
from copied import ROOT, TINY, copy_tree

sys.path.insert(0, str(ROOT))
from pipeline.checkpoint import before

DECLARATION = TINY.replace("scale: tiny", "scale: tiny\ncheckpoint_minutes: 0.002")
LONGEST = 9.0  # seconds between two faults
PATIENCE = 900  # seconds until a campaign that is left alone must be done
STAGE = re.compile(r"-m pipeline\.(\w+)")
CLOCKS = ("time", "seconds", "images_per_second", "waiting_for_data", "provenance", "device")  # what no two runs share

TWICE = """
from pipeline.mirror import open_client
client, found = open_client(), []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        for key in run.data.metrics:
            steps = [metric.step for metric in client.get_metric_history(run.info.run_id, key)]
            found += [f"{run.info.run_name} {key}"] if len(steps) > len(set(steps)) else []
print("; ".join(found))
"""


class Campaign:
    """The tiny campaign in a folder of its own, run as `make` runs it."""

    def __init__(self, folder: Path):
        self.folder = folder
        copy_tree(folder)
        (folder / "workflow/experiments/tiny.yaml").write_text(DECLARATION)

    def start(self) -> subprocess.Popen:
        log = (self.folder / "run.log").open("a")
        environment = {k: v for k, v in os.environ.items() if k not in ("ATSNN_DATA", "MLFLOW_TRACKING_URI")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        command = ["workflow/run.sh", "all", "--config", "scale=tiny"]
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True)

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

    def outcome(self) -> dict:
        """All its numbers, without clocks: files by their bytes, records and evaluations by what they say."""
        results, told = self.folder / "results/tiny", {}
        for pattern in ("weights/*/final.safetensors", "figures/*.svg", "figures/*.json", "tables/*.csv"):
            told |= {str(p.relative_to(results)): p.read_bytes() for p in results.glob(pattern)}
        for path in results.glob("evals/*.json"):
            told[str(path.relative_to(results))] = timeless(json.loads(path.read_text()))
        for path in results.glob("runs/*/record.jsonl"):
            entries = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
            told[str(path.relative_to(results))] = [entry for entry in entries if entry["event"] != "resume"]
        return told

    def must_be_done(self) -> None:
        """What ends with success has made everything."""
        if not (self.folder / "results/tiny/report.html").exists():
            raise SystemExit(f"it ended with success, and there is no report: see {self.folder / 'run.log'}")

    def logged_twice(self) -> str:
        """Metrics of MLflow that have a step more than once, in words."""
        told = subprocess.run([sys.executable, "-c", TWICE], cwd=self.folder, capture_output=True, text=True)
        return told.stdout.strip() or told.stderr.strip() * bool(told.returncode)


def timeless(content):
    if isinstance(content, dict):
        return {key: timeless(x) for key, x in content.items() if key not in CLOCKS}
    return [timeless(x) for x in content] if isinstance(content, list) else content


def disturb(campaign: Campaign, kills: int, chance: random.Random, note) -> None:
    """Faults until there were as many; whenever the campaign is done before, it begins again from nothing."""
    done, running = 0, campaign.start()
    while done < kills:
        time.sleep(chance.uniform(0.2, LONGEST))
        alive = campaign.processes()
        if running.poll() == 0:
            campaign.must_be_done()
            note({"event": "done before the next fault"})
            campaign.forget()
        elif alive:
            done += 1
            struck = strike(alive, chance)
            note({"event": "fault", "number": done} | struck | {"damaged": damage(campaign, chance)})
        if running.poll() is not None:
            running = campaign.start()
    finish(campaign, running)


def strike(alive: dict[int, str], chance: random.Random) -> dict:
    trainings = [pid for pid, stage in alive.items() if stage == "train"]
    others = [pid for pid, stage in alive.items() if stage != "train"]
    kind = chance.choice(("one", "one", "one", "asked", "all"))
    if kind == "all":
        chosen, sent = list(alive), signal.SIGKILL
    else:
        pool = trainings if trainings and (not others or chance.random() < 0.6) else others
        chosen, sent = [chance.choice(sorted(pool))], signal.SIGTERM if kind == "asked" else signal.SIGKILL
    for pid in chosen:
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            pass
    return {"stages": sorted(alive[pid] for pid in chosen), "signal": sent.name, "alive": sorted(alive.values())}


def damage(campaign: Campaign, chance: random.Random) -> str:
    """Damage one file, if chance wants it and there is one that the campaign can do without; says which, and how."""
    kind = chance.choice(("", "", "", "flipped", "cut", "record", "store"))
    results = campaign.folder / "results"
    if kind == "store":
        found = sorted(results.glob("mlflow.db"))
    elif kind == "record":
        found = sorted(results.glob("tiny/weights/*/record.jsonl"))
    else:
        found = [path for path in sorted(results.glob("tiny/weights/*/checkpoint.pt")) if whole(before(path))] if kind else []
    if not found:
        return ""
    path = chance.choice(found)
    if kind == "store":
        path.unlink(missing_ok=True)
        return "mlflow.db removed"
    with contextlib.suppress(FileNotFoundError):  # it may be renamed just now
        content = bytearray(path.read_bytes())
        place = chance.randrange(len(content)) if content else 0
        if kind == "flipped":
            content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content if kind == "flipped" else content[:place])
    return f"{path.parent.name}/{path.name} {'flipped' if kind == 'flipped' else 'cut'} at byte {place}"


def whole(path: Path) -> bool:
    """A checkpoint that its checksum agrees with."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return False
    return digest.decode(errors="replace") == hashlib.sha256(content).hexdigest()


def finish(campaign: Campaign, running: subprocess.Popen) -> None:
    """Left alone, and started again whenever it ends with a failure, it comes to its end."""
    began = time.monotonic()
    while running.wait() != 0:
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"not done within {PATIENCE} s after the last fault: see {campaign.folder / 'run.log'}")
        running = campaign.start()
    campaign.must_be_done()


def differences(calm: dict, disturbed: dict) -> list[str]:
    return sorted(name for name in calm.keys() | disturbed.keys() if calm.get(name) != disturbed.get(name))


def main() -> None:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="empty or absent")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty: delete it, or name another folder or seed")
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "faults.jsonl").open("a")

    def note(content: dict) -> None:
        line = json.dumps({"time": round(time.time(), 1), "seed": options.seed} | content)
        print(line, flush=True)
        log.write(line + "\n")
        log.flush()

    calm, disturbed = Campaign(folder / "calm"), Campaign(folder / "disturbed")
    finish(calm, calm.start())
    disturb(disturbed, options.kills, random.Random(options.seed), note)
    differ, twice = differences(calm.outcome(), disturbed.outcome()), disturbed.logged_twice()
    note({"event": "compared", "differ": differ, "logged_twice": twice, "files": len(calm.outcome())})
    sys.exit(bool(differ or twice))


if __name__ == "__main__":
    main()
