"""Scenarios of what a campaign stands on: file systems, MLflow's store, other processes, the clock."""

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import sys

from kills import WIRES, set_back
from scenario import NotHere, errors, must, scenario, wait_for
from tiny import Campaign

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


def goes_well(campaign: Campaign) -> None:
    """The graph comes to its end, says nothing, and MLflow has everything once."""
    code, told = campaign.run()
    must(code == 0 and not errors(told), told)
    must(not (twice := campaign.logged_twice()), twice)


def wait_for_training(campaign: Campaign, run: str, graph: subprocess.Popen) -> None:
    """Until it has a checkpoint, while the graph runs."""
    place = campaign.results / "weights" / run / "checkpoint.pt"
    wait_for(lambda: place.exists() or graph.poll() is not None)
    must(graph.poll() is None, "the training was not seen")


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
        wait_for_training(campaign, run, running)
        stop(server)
        code = running.wait()
        said = errors(campaign.log.read_text())
        must(
            code != 0 and (campaign.results / "runs" / run / "done.json").exists(), "the training ends, the tables can't be made"
        )
        must(any("MLflow" in line for line in said), str(said))
        server = serve(campaign, port)
        goes_well(campaign)
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


@scenario("MLflow's store locked by another program")
def store_locked(campaign: Campaign) -> str:
    campaign.forget_run("at_snn")
    with contextlib.closing(sqlite3.connect(campaign.folder / "results/mlflow.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        code, told = campaign.run()
        other.execute("rollback")
    said = errors(told)
    must(code != 0 and any("MLflow" in line for line in said), told)
    goes_well(campaign)
    return "; ".join(said)


@scenario("MLflow's store removed")
def store_removed(campaign: Campaign) -> str:
    campaign.forget_products()
    for path in (campaign.folder / "results").glob("mlflow.db*"):
        path.unlink()
    goes_well(campaign)
    return "filled again from the records"


@scenario("two Snakemakes at once")
def two_graphs(campaign: Campaign) -> str:
    campaign.forget_run("at_snn")
    first = campaign.start()
    wait_for(lambda: "snakemake" in campaign.processes().values())
    others = campaign.start(), campaign.start("snakemake", "--cores", "1", "--config", "scale=tiny")
    looks, told = campaign.run("snakemake", "--cores", "1", "-n", "--config", "scale=tiny")
    must(looks == 0 and "dry-run" in told, told)
    codes = [graph.wait() for graph in (first, *others)]
    must(codes == [0, 0, 0] and campaign.log.read_text().count("waits for it to end") == 2, "they disturb each other")
    return "the others wait for the first, plain snakemake as well as make, and find all done"


@scenario("plain snakemake first, then make")
def plain_first(campaign: Campaign) -> str:
    campaign.forget_run("at_snn")
    first = campaign.start("snakemake", "--cores", "1", "--config", "scale=tiny")
    wait_for(lambda: "snakemake" in campaign.processes().values())
    second = campaign.start()
    codes = first.wait(), second.wait()
    must(codes == (0, 0) and "waits for it to end" in campaign.log.read_text(), "they disturb each other")
    return "make waits for it, and finds all done"


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
    running = campaign.start(PYTHONPATH=str(WIRES), FAULT_CLOCK="3600")
    wait_for_training(campaign, run, running)
    stop(running)
    said = set_back(campaign)
    wait_for(lambda: subprocess.run(["flock", "-n", campaign.folder / ".snakemake/run.lock", "true"]).returncode == 0)
    goes_well(campaign)
    return said
