"""Stage 2: one training, from its parent's weights or from the start, to final weights and a record.

python -m pipeline.train --scale smoke --run ID. A training that was killed goes on where it was when it is started
again, and ends with the same weights, bit for bit. With --processes N it becomes torchrun, which starts this again N times
(pipeline.training.processes).
"""

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
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that comes when the parent ends


def train(campaign: Campaign, run: Run, log: Path | None = None, processes: int = 1) -> None:
    """Train a run to its end and publish it; what is complete appears under its name at once, done.json last.

    Raises UserError where so many processes can't share a batch.
    """
    failed = campaign.run_folder(run) / "failed.json"
    if failed.exists():
        reason = read_json(failed, "reason")["reason"]
        raise UserError(f"{reason}; it has failed before, and is not tried again: mend the cause, then delete {failed}")
    if MEMBER in os.environ:
        return train_as_member(campaign, run, log)
    share_of_batch(run.recipe["batch"], 0, processes)  # before it waits for anything
    say = speaker(run, log)
    with only_process(campaign.weights_folder(run) / ".lock", say):
        gpu_locks.take(processes, say)
        if processes > 1:
            become_several(processes, run, say)
        with only_first(campaign, run, say):
            train_here(campaign, run, say)


def become_several(processes: int, run: Run, say) -> NoReturn:
    """torchrun in the place of this process, with what it has locked: it starts the same command once a process."""
    say(f"trains in {processes} processes")
    os.environ["OMP_NUM_THREADS"] = str(run.threads)  # of each; torchrun would warn that nobody said
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    launcher.append(f"--nproc-per-node={processes}")
    os.execv(sys.executable, [*launcher, "--module", "--", "pipeline.train", *sys.argv[1:]])


def train_as_member(campaign: Campaign, run: Run, log: Path | None) -> None:
    """One process of several: the one that became torchrun holds their devices and the run, and they end with it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ["RANK"] != "0":
        return train_here(campaign, run, lambda line: None)
    say = speaker(run, log)
    with only_first(campaign, run, say):
        train_here(campaign, run, say)


def only_first(campaign: Campaign, run: Run, say):
    """The process that writes waits for one that a killed torchrun has left, which may still be saving."""
    return only_process(campaign.weights_folder(run) / ".lock.first", say)


def train_here(campaign: Campaign, run: Run, say) -> None:
    """The training in this process, with the others of torchrun where it is one of them: the first one of them publishes."""
    from pipeline.training.trainer import Stopped, TrainingFailed

    try:
        trainer = to_the_end(campaign, run, say)
    except Stopped as stopped:
        say(f"asked to stop: saved at {stopped}; it goes on there when it is started again")
        sys.exit(128 + signal.SIGTERM)
    except TrainingFailed as error:
        replace_json(campaign.run_folder(run) / "failed.json", {"run": run.id, "reason": str(error)})
        raise
    if trainer.team.writes:
        publish(campaign, run, trainer)


def to_the_end(campaign: Campaign, run: Run, say):
    """The trainer of a run, at its last epoch. A loss that got lost between two looks at it is looked for step by step."""
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
            del trainer  # and the memory that it holds


def publish(campaign: Campaign, run: Run, trainer) -> None:
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
    """A function that says whether the process was asked to end, by SIGTERM, since the block began."""
    asked = threading.Event()
    handled = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, handled)


@contextmanager
def only_process(lock: Path, say):
    """No run is trained twice at once: who comes second waits, as a graph that was killed leaves its trainings behind."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        os.set_inheritable(file.fileno(), True)  # by torchrun, which this process may become
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("is being trained by another process: waits for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def speaker(run: Run, log: Path | None):
    """A function that puts plain lines on standard error and into the log; a progress bar stays below them."""

    def say(line: str) -> None:
        from tqdm import tqdm

        line = f"{run.id}: {line}"
        tqdm.write(line, file=sys.stderr)
        if log:
            note(log, line)

    return say


def note(log: Path, line: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(line + "\n")


def train_logged(campaign: Campaign, run: Run, log: Path | None, processes: int) -> None:
    """`train`; what stops it is put into the log too, and told by the first of several processes alone."""
    try:
        train(campaign, run, log, processes)
    except (UserError, OSError) as error:
        if os.environ.get("RANK", "0") != "0":
            sys.exit(2)  # the first process says it
        if log:
            note(log, f"error: {error}")
        raise


def end_as_member(main: Callable[[], None]) -> NoReturn:
    """Run `main` in one process of several, and end without taking the group down, where PyTorch 2.13 can wait for Python's lock
    for ever, as the thread that it waits for does.
    """
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
