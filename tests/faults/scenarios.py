"""Faults that take more than a moment: each in a copy of a finished campaign of which a part is to be made again.

python tests/faults/scenarios.py --folder FOLDER [--log FILE] [NAME ...]. Wherever a line says what to do, just that is done. In the
end the campaign has the numbers of the one that nobody disturbed; the exit code is 1 where it has not. What this machine does not
allow (a small file system takes a mount) is logged as not tried.
"""

import argparse
import contextlib
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kills import WIRES, set_back
from tiny import Campaign, Log, differences

PAGE = 4096  # bytes in which a tmpfs counts
SMALL = """
mount -t tmpfs -o size=$SIZE tmpfs "$PLACE" && cp -a "$ASIDE/." "$PLACE/" && $BEFORE || exit 99
workflow/run.sh all --config scale=tiny
echo "ended with $?, the disk is mended"
$AFTER && workflow/run.sh all --config scale=tiny
code=$?
cp -a "$PLACE/." "$ASIDE/"
exit $code
"""
AFTER_THAT = "the disk is mended"
SCENARIOS: dict[str, Callable[[Campaign], str]] = {}


class NotHere(Exception):
    """This machine does not allow the fault; says why."""


def scenario(name: str):
    def register(function: Callable[[Campaign], str]):
        SCENARIOS[name] = function
        return function

    return register


class NotAsItMust(Exception):
    """What a scenario saw."""


def must(condition: bool, said: str) -> None:
    if not condition:
        raise NotAsItMust(said)


def errors(told: str) -> list[str]:
    """Lines of stages that say what is wrong; a traceback is a fault of ours."""
    must(not re.search(r"Traceback(?s:.*?)/pipeline/", told), f"a traceback:\n{told}")
    return list(dict.fromkeys(re.findall(r"^(?:pipeline\.\w+: error|run\.sh): .*$", told, re.M)))


def on_small_disk(campaign: Campaign, place: str, margin: int, before: str = "true", after: str = "") -> str:
    """The graph with a folder on a file system that has `margin` bytes left, then again with room; the line that it said."""
    if subprocess.run(["unshare", "-m", "-r", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        raise NotHere("no file system can be mounted here (unshare -m -r)")
    folder, aside = campaign.results / place, campaign.folder / "aside"
    folder.mkdir(exist_ok=True)
    (folder / ".kept").touch()  # Snakemake removes empty folders, which a mounted one resists
    folder.rename(aside)
    folder.mkdir()
    used = sum(-(-path.stat().st_size // PAGE) * PAGE for path in aside.rglob("*") if path.is_file())
    after = after or f"mount -o remount,size=1g {folder}"
    words = {"SIZE": str(max(used + margin, PAGE)), "PLACE": str(folder), "ASIDE": str(aside)}
    code, told = campaign.run(
        "unshare", "-m", "-r", "sh", "-c", SMALL.replace("$BEFORE", before).replace("$AFTER", after), **words
    )
    shutil.rmtree(folder)
    aside.rename(folder)
    must(code == 0 and AFTER_THAT in told and "ended with 0" not in told, f"{place}: {code}\n{told}")
    return "; ".join(errors(told.partition(AFTER_THAT)[0]))


@scenario("file system full under a checkpoint")
def full_checkpoint(campaign: Campaign) -> str:
    campaign.forget_run("at_snn")
    said = on_small_disk(campaign, "weights", 8 * PAGE)
    must("No space left on device" in said and "checkpoint" in said, said)
    return said


@scenario("file system full under a record")
def full_record(campaign: Campaign) -> str:
    run = campaign.forget_run("at_snn")
    said = on_small_disk(campaign, "runs", PAGE)
    must("No space left on device" in said and f"{run}/record.jsonl" in said, said)
    return said


@scenario("file system full under the tables")
def full_tables(campaign: Campaign) -> str:
    campaign.forget_products()
    said = on_small_disk(campaign, "tables", 3 * PAGE)
    must("No space left on device" in said and "tables" in said, said)
    return said


@scenario("results read-only")
def read_only(campaign: Campaign) -> str:
    campaign.forget_run("at_snn")
    folder = campaign.results / "weights"
    said = on_small_disk(campaign, "weights", 2**24, f"mount -o remount,ro {folder}", f"mount -o remount,rw {folder}")
    must("weights can't be written" in said, said)
    return said


@scenario("MLflow server killed while a training runs, and back")
def server_killed(campaign: Campaign) -> str:
    run = campaign.forget_run("at_snn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    campaign.environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
    server = serve(campaign, port)
    try:
        running = campaign.start()
        wait_for(lambda: (campaign.results / "weights" / run / "checkpoint.pt").exists() or running.poll() is not None)
        must(running.poll() is None, "the training was not seen")
        stop(server)
        code = running.wait()
        said = errors(campaign.log.read_text())
        must(
            code != 0 and (campaign.results / "runs" / run / "done.json").exists(), "the training ends, the tables can't be made"
        )
        must(any("MLflow" in line for line in said), str(said))
        server = serve(campaign, port)
        code, told = campaign.run()
        must(code == 0, told)
        must(not (twice := campaign.logged_twice()), twice)
        return "; ".join(said)
    finally:
        stop(server)


def serve(campaign: Campaign, port: int) -> subprocess.Popen:
    store = campaign.folder / "server.db"
    words = ("-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}", "--port", str(port), "--workers", "1")
    server = campaign.start(sys.executable, *words, "--host", "127.0.0.1", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    wait_for(lambda: answers(port))
    return server


def answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def stop(server: subprocess.Popen) -> None:
    """With all its workers, at once."""
    subprocess.run(["pkill", "-KILL", "-s", str(server.pid)], check=False)
    server.wait()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        must(time.monotonic() < until, f"nothing happened for {seconds} s")
        time.sleep(0.05)


@scenario("MLflow's store locked by another program")
def store_locked(campaign: Campaign) -> str:
    campaign.forget_run("at_snn")
    with contextlib.closing(sqlite3.connect(campaign.folder / "results/mlflow.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        code, told = campaign.run()
        other.execute("rollback")
    said = errors(told)
    must(code != 0 and any("MLflow" in line for line in said), told)
    code, told = campaign.run()
    must(code == 0, told)
    must(not (twice := campaign.logged_twice()), twice)
    return "; ".join(said)


@scenario("MLflow's store removed")
def store_removed(campaign: Campaign) -> str:
    campaign.forget_products()
    for path in (campaign.folder / "results").glob("mlflow.db*"):
        path.unlink()
    code, told = campaign.run()
    must(code == 0 and not errors(told), told)
    return "filled again from the records"


@scenario("two Snakemakes at once")
def two_graphs(campaign: Campaign) -> str:
    campaign.forget_run("at_snn")
    first = campaign.start()
    wait_for(lambda: "snakemake" in campaign.processes().values())
    code, told = campaign.run()
    must(code == 75 and "already being run" in told, told)
    direct, told = campaign.run("snakemake", "--cores", "1", "--config", "scale=tiny")
    must(direct != 0 and "lock" in told.lower(), told)
    must(first.wait() == 0, "the first is disturbed")
    return "the second is told that the graph is already being run, whether by make or by snakemake itself"


@scenario("two trainers of one run at once")
def two_trainers(campaign: Campaign) -> str:
    run = campaign.forget_run("at_snn")
    words = (sys.executable, "-m", "pipeline.train", "--scale", "tiny", "--run", run)
    first, (code, told) = campaign.start(*words), campaign.run(*words)
    must((first.wait(), code) == (0, 0) and "waits for it to end" in campaign.log.read_text(), told)
    must(campaign.run()[0] == 0, "the graph goes on")
    return "the second waits for the first"


@scenario("clock set back by an hour within a training")
def clock(campaign: Campaign) -> str:
    run = campaign.forget_run("at_snn")
    place = campaign.results / "weights" / run / "checkpoint.pt"
    running = campaign.start(PYTHONPATH=str(WIRES), FAULT_CLOCK="3600")
    wait_for(lambda: place.exists() or running.poll() is not None)
    must(running.poll() is None, "the training was not seen")
    stop(running)
    said = set_back(campaign)
    wait_for(lambda: subprocess.run(["flock", "-n", campaign.folder / ".snakemake/run.lock", "true"]).returncode == 0)
    code, told = campaign.run()
    must(code == 0 and not errors(told), told)
    must(not (twice := campaign.logged_twice()), twice)
    return said


DAMAGES = {  # by what is damaged: where it is, how, and what is forgotten so that it is read again
    "prepared images": ("data/prepared/*/train*", "flipped", "run"),
    "prepared images, cut": ("data/prepared/*/test_images.npy", "cut", "run"),
    "the parent's weights": ("results/tiny/weights/static-s0-*/final.safetensors", "flipped", "run"),
    "both checkpoints": ("results/tiny/weights/at_snn-s1-*/checkpoint.pt*", "flipped", "end"),
    "the weights that are evaluated": ("results/tiny/weights/at_snn-s1-*/final.safetensors", "flipped", "evaluation"),
    "a record": ("results/tiny/runs/at_snn-s1-*/record.jsonl", "number", "products"),
    "an evaluation": ("results/tiny/evals/static-s1-*.json", "number", "products"),
    "an evaluation, cut": ("results/tiny/evals/static-s1-*.json", "cut", "products"),
    "the end of a run, cut": ("results/tiny/runs/static-s0-*/done.json", "cut", "products"),
    "arrays": ("results/tiny/arrays/at_snn-s0-*.npz", "cut", "products"),
}


def damaged(campaign: Campaign, what: str) -> str:
    """Damages files, lets the graph find it, and does what it says until it is done."""
    pattern, how, forgotten = DAMAGES[what]
    found = sorted(campaign.folder.glob(pattern))
    must(bool(found), f"there is no {pattern}")
    for path in found:
        spoil(path, how)
    if forgotten == "run":
        campaign.forget_run("at_snn")
    campaign.forget_products()
    run = campaign.run_id("at_snn", 1)
    if forgotten in ("evaluation", "end"):
        for path in campaign.results.glob(f"evals/{run}-*"):
            path.unlink()
    if forgotten == "end":
        shutil.rmtree(campaign.results / "runs" / run)
    said = []
    for _ in range(8):
        code, told = campaign.run()
        lines = [line for line in [*errors(told), *not_drawn(campaign)] if "delete" in line]
        if code == 0 and not lines:
            must(any(path.parent.name in line or path.name in line for line in said for path in found), f"not found: {said}")
            return "; ".join(dict.fromkeys(said))
        must(bool(lines), told)
        said += lines
        follow(campaign, lines)
    raise NotAsItMust(f"what it says does not mend it: {said}")


def spoil(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    if how == "cut":
        content = content[:place]
    elif how == "flipped":
        content[place] ^= 4
    else:  # a digit of the last accuracy, so that it reads well
        place = [found.start(1) for found in re.finditer(rb'accuracy": (\d)', content)][-1]
        content[place] = ord("1") if content[place] != ord("1") else ord("2")
    path.write_bytes(content)


def not_drawn(campaign: Campaign) -> list[str]:
    """What figures say that they lack."""
    return [
        found for path in campaign.results.glob("figures/*.json") for found in re.findall(r'"missing": "(.*)"', path.read_text())
    ]


def follow(campaign: Campaign, lines: list[str]) -> None:
    """Deletes what lines say is to be deleted: the path after the word, or those that they name."""
    for line in lines:
        after = line.partition("delete ")[2].split()[0].rstrip(",:;")
        words = [after] if (campaign.folder / after).exists() else [word.strip("(),:;") for word in line.split()]
        for path in {campaign.folder / word for word in words if "/" in word and (campaign.folder / word).exists()}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


for what in DAMAGES:
    scenario(f"damaged: {what}")(lambda campaign, what=what: damaged(campaign, what))


def attempt(calm: Campaign, name: str, folder: Path, log: Log) -> bool:
    """Whether a scenario ends with the numbers of the calm campaign."""
    copy = Campaign(folder, like=calm)
    try:
        said = SCENARIOS[name](copy)
        differ = differences(calm.outcome(), copy.outcome())
    except NotHere as error:
        log.note("not tried", fault=name, why=str(error))
        return True
    except NotAsItMust as error:
        said, differ = "", [f"not as it must be: {str(error)[-4000:]}"]
    log.note("scenario", fault=name, said=said.replace(f"{copy.folder}/", ""), differ=differ)
    if not differ:
        shutil.rmtree(folder)
    return not differ


def main() -> None:
    parser = argparse.ArgumentParser(prog="scenarios", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="empty or absent")
    parser.add_argument("--log", type=Path, help="append to this file (default: FOLDER/faults.jsonl)")
    parser.add_argument("--seed", type=int, default=0, help="of their order")
    parser.add_argument("names", nargs="*", metavar="NAME", help="some of them (default: all)")
    options = parser.parse_args()
    folder, names = options.folder.resolve(), options.names or list(SCENARIOS)
    if unknown := set(names) - SCENARIOS.keys():
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(SCENARIOS)}")
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty: delete it, or name another folder")
    random.Random(options.seed).shuffle(names)
    calm, log = Campaign(folder / "calm"), Log(options.log or folder / "faults.jsonl", seed=options.seed)
    calm.finish()
    done = [attempt(calm, name, folder / re.sub(r"\W+", "_", name), log) for name in names]
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
