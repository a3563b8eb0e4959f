"""Trainings that begin at once, each in a process and with a temporary folder of its own, as if on as many machines.

python many_trainings.py FOLDER JOBS EPOCHS [outage]. Each writes FOLDER/run-<number>.jsonl and mirrors it as a training does. With `outage`
it waits, halfway, until FOLDER/away exists; then one in three ends, and the others wait for FOLDER/back and go on, of which
every second one is killed before its end.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pipeline.core.record import Record
from pipeline.mirror import checkout, mlflow_run

DATASET = {"name": "shapes", "digest": "01234567", "source_type": "local", "source": "drawn from a seed"}
PARAMS = {"gamma": 5, "recipe.epochs": 20, "network.width": 48}


def measured(number: int, epoch: int) -> dict:
    """As many numbers as an epoch of a training has, other ones in each."""
    blocks = [epoch + number / 100 + block / 1000 for block in range(4)]
    by_block = {f"{what}_by_block": [blocks, blocks] for what in ("tokens", "merged", "halted")}
    return {"train_loss": 1 / epoch + number, "test_accuracy": float(epoch), "warnings": 0} | by_block


def train(number: int, folder: Path, epochs: int, outage: bool, begin) -> None:
    tempfile.tempdir = str(folder / f"machine-{number}")  # no lock is shared
    os.mkdir(tempfile.tempdir)
    name = f"run-{number}"
    record = Record(folder / f"{name}.jsonl")
    run = mlflow_run.Mirror("tiny", name, f"a run, seed {number}", PARAMS | {"seed": number}, {"kind": "training"}, DATASET)
    begin.wait()
    record.append("start")
    run.live(record.entries())
    for epoch in range(1, epochs + 1):
        if outage and epoch == epochs // 2:
            wait_for(folder / "away")
        if outage and epoch == epochs // 2 + 3 and number % 3:  # the others end while the server is away
            wait_for(folder / "back")
            time.sleep(2 * mlflow_run.RETRY_SECONDS)
        record.append("epoch", epoch=epoch, metrics=measured(number, epoch))
        run.live(record.entries())
    if outage and number % 3 == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    record.append("channel_0", epoch=epochs, histogram={"blocks": [[number]]})
    record.append("end")
    run.live(record.entries())


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.05)


if __name__ == "__main__":
    import mlflow  # noqa: F401  once, before the processes part

    folder, jobs, epochs, outage = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "outage" in sys.argv
    checkout.FILE = folder.parent / ".checkout"  # that all machines see, as that of a checkout
    if outage:
        mlflow_run.RETRY_SECONDS = 1
    parting = multiprocessing.get_context("fork")
    begin = parting.Barrier(jobs)
    running = [parting.Process(target=train, args=(i, folder, epochs, outage, begin)) for i in range(jobs)]
    for job in running:
        job.start()
    for job in running:
        job.join()
    sys.exit(any(job.exitcode not in (0, -signal.SIGKILL) for job in running))
