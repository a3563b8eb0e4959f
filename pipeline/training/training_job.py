"""Train one run, from its parent's weights or from scratch, to final weights and a record.

The command is pipeline.train, whose text says how it is used and by which rules.
"""
# Tested in tests/pipeline/training/test_trainer.py

import ctypes
import fcntl
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run, describe
from pipeline.core.atomic_files import read_json, replace, replace_json
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.core.randomness import share_of_batch
from pipeline.evaluation import gpu_locks

MEMBER = "TORCHELASTIC_RUN_ID"  # torchrun sets it for the processes that it starts
PR_SET_PDEATHSIG = 1  # of Linux's prctl: sets the signal that is sent when the parent ends


def train(campaign: Campaign, run: Run, log: Path | None = None, processes: int = 1) -> None:
    """Train a run to its end and publish it: each file appears whole under its name, done.json last.

    Raises UserError where the run has failed before, and where so many processes can't share a batch.
    """
    failed = campaign.run_folder(run) / "failed.json"
    if failed.exists():
        reason = read_json(failed, "reason")["reason"]
        raise UserError(f"{reason}; it has failed before, and is not tried again: mend the cause, then delete {failed}")
    if MEMBER in os.environ:
        return train_as_member(campaign, run, log)
    share_of_batch(run.recipe["batch"], 0, processes)  # checked before anything is waited for
    say = line_writer(run, log)
    with run_lock(campaign.weights_folder(run) / ".lock", say):
        gpu_locks.take(processes, say)
        if processes > 1:
            exec_torchrun(processes, run, say)
        with writer_lock(campaign, run, say):
            train_here(campaign, run, say)


def exec_torchrun(processes: int, run: Run, say) -> NoReturn:
    """Replace this process by torchrun, which keeps its locks and starts the same command once for each process."""
    say(f"trains in {processes} processes")
    os.environ["OMP_NUM_THREADS"] = str(run.threads)  # of each process; torchrun warns where it isn't set
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    launcher.append(f"--nproc-per-node={processes}")
    command = sys.modules["__main__"].__spec__.name  # as `python -m` was given it
    os.execv(sys.executable, [*launcher, "--module", "--", command, *sys.argv[1:]])


def train_as_member(campaign: Campaign, run: Run, log: Path | None) -> None:
    """Train as one process of several, and end when torchrun ends: it holds the locks of the run and of their devices."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ["RANK"] != "0":
        return train_here(campaign, run, lambda line: None)
    say = line_writer(run, log)
    with writer_lock(campaign, run, say):
        train_here(campaign, run, say)


def writer_lock(campaign: Campaign, run: Run, say):
    """Take the lock of the process that writes; one that a killed torchrun has left may still be saving."""
    return run_lock(campaign.weights_folder(run) / ".lock.first", say)


def train_here(campaign: Campaign, run: Run, say) -> None:
    """Train in this process, together with torchrun's other processes where there are any; the first process publishes."""
    from pipeline.training.trainer import Stopped, TrainingFailed

    try:
        trainer = train_to_end(campaign, run, say)
    except Stopped as stopped:
        say(f"asked to stop: saved at {stopped}; it goes on there when it is started again")
        sys.exit(128 + signal.SIGTERM)
    except TrainingFailed as error:
        replace_json(campaign.run_folder(run) / "failed.json", {"run": run.id, "reason": str(error)})
        raise
    if trainer.team.writes:
        publish(campaign, run, trainer)


def train_to_end(campaign: Campaign, run: Run, say):
    """Train a run to its last epoch and return its Trainer. If a loss between two checks of it is not finite, the steps since the
    checkpoint are taken again, each with a check.
    """
    from pipeline.training.trainer import Trainer, TrainingFailed

    with termination() as asked_to_stop:
        for watch in (None, True):
            trainer = Trainer(campaign, run, say, asked_to_stop, watch)
            try:
                trainer.train()
                return trainer
            except TrainingFailed as error:
                if trainer.watch:
                    trainer.fail(str(error))
                    raise
                say(f"{error}; the steps since the checkpoint are taken again, one by one, to find which")
            del trainer  # frees the memory that it holds


def publish(campaign: Campaign, run: Run, trainer) -> None:
    """Write the final weights, the record, the declaration and then done.json, and tell MLflow of the end."""
    from pipeline.evaluation.weights import save_weights

    weights, folder = campaign.weights_file(run), campaign.run_folder(run)
    save_weights(weights, trainer.backbone.state_dict(), run.id)
    replace(folder / "record.jsonl", trainer.record.text)
    replace(folder / "declaration.yaml", yaml.safe_dump(describe(run), sort_keys=False, allow_unicode=True))
    position = trainer.position
    done = {"run": run.id, "weights_sha256": sha256(weights), "record_sha256": sha256(folder / "record.jsonl")}
    done |= {"precision": trainer.compute.precision, "epochs": position.epoch}
    replace_json(folder / "done.json", done | {"seconds": round(position.seconds, 1), "best_on_test": position.best})
    trainer.mirror.live(trainer.record.entries())


@contextmanager
def termination():
    """Catch SIGTERM within the block; yields a function that tells whether it came since the block began."""
    asked = threading.Event()
    earlier_handler = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, earlier_handler)


@contextmanager
def run_lock(lock: Path, say):
    """Take the run's lock for the block, and wait for it where another process holds it: a training may outlive the Snakemake
    that started it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)  # torchrun, which may replace this process, keeps it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("is being trained by another process: waits for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def line_writer(run: Run, log: Path | None):
    """Make a function that writes a line to standard error and to the log; a progress bar stays below the lines."""

    def say(line: str) -> None:
        from tqdm import tqdm

        line = f"{run.id}: {line}"
        tqdm.write(line, file=sys.stderr)
        if log:
            append_line(log, line)

    return say


def append_line(log: Path, line: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(line + "\n")


def train_logged(campaign: Campaign, run: Run, log: Path | None, processes: int) -> None:
    """Train a run, and write an error that stops it to the log too; only the first of several processes reports it."""
    try:
        train(campaign, run, log, processes)
    except (UserError, OSError) as error:
        if os.environ.get("RANK", "0") != "0":
            sys.exit(2)  # the first process reports the error
        if log:
            append_line(log, f"error: {error}")
        raise


def end_as_member(main: Callable[[], None]) -> NoReturn:
    """Run `main` in one process of several, then end without destroying the process group: there PyTorch 2.13 can wait for
    ever for Python's lock, as does the thread that it waits for.
    """
    code = 1
    try:
        main()
        code = 0
    except SystemExit as system_exit:
        code = system_exit.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
