"""Stage 2: one training, from its parent's weights or from the start, to final weights and a record.

python -m pipeline.train --scale smoke --run ID. A training that was killed goes on where it was when it is started
again, and ends with the same weights, bit for bit.
"""

import argparse
import fcntl
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipeline.campaign import Campaign, common_arguments, open_campaign
from pipeline.errors import UserError, run_stage
from pipeline.identity import Run, describe
from pipeline.record import read_json, replace, replace_json
from pipeline.sources import sha256


def train(campaign: Campaign, run: Run, log: Path | None = None) -> None:
    """Train a run to its end and publish it; what is complete appears under its name at once, done.json last."""
    failed = campaign.run_folder(run) / "failed.json"
    if failed.exists():
        reason = read_json(failed, "reason")["reason"]
        raise UserError(f"{reason}; it has failed before, and is not tried again: mend the cause, then delete {failed}")
    say = speaker(run, log)
    with only_process(campaign.weights_folder(run), say):
        from pipeline.training import Stopped, TrainingFailed

        try:
            trainer = to_the_end(campaign, run, say)
        except Stopped as stopped:
            say(f"asked to stop: saved at {stopped}; it goes on there when it is started again")
            sys.exit(128 + signal.SIGTERM)
        except TrainingFailed as error:
            replace_json(failed, {"run": run.id, "reason": str(error)})
            raise
        publish(campaign, run, trainer)


def to_the_end(campaign: Campaign, run: Run, say):
    """The trainer of a run, at its last epoch. A loss that got lost between two looks at it is looked for step by step."""
    from pipeline.training import Trainer, TrainingFailed

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
    from pipeline.checkpoint import save_weights

    weights, folder = campaign.weights_file(run), campaign.run_folder(run)
    save_weights(weights, trainer.backbone.state_dict(), run.id)
    replace(folder / "record.jsonl", trainer.record.text)
    replace(folder / "declaration.yaml", yaml.safe_dump(describe(run), sort_keys=False, allow_unicode=True))
    position = trainer.position
    done = {"run": run.id, "weights_sha256": sha256(weights), "record_sha256": sha256(folder / "record.jsonl")}
    done |= {"precision": trainer.precision, "epochs": position.epoch}
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
def only_process(folder: Path, say):
    """Two processes never train the same run: the second waits, as a graph that was killed leaves its trainings behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.train", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--run", metavar="ID", required=True, help="the run's id, the name of its folder")
    parser.add_argument("--log", metavar="FILE", type=Path, help="append the plain lines to this file too")
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    try:
        train(campaign, campaign.find_run(options.run), options.log)
    except (UserError, OSError) as error:
        if options.log:
            note(options.log, f"error: {error}")
        raise


if __name__ == "__main__":
    run_stage(main, "train")
