"""A campaign whose processes are killed at random until it is done, compared with one that nobody disturbed.

python tests/faults/kills.py --kills 40 --seed 0 --folder FOLDER [--log FILE]. Each stage has its turn, every second time training. A
fault is a random moment of a process of that stage: SIGKILL or SIGTERM to it; SIGKILL to all that are alive then; or SIGKILL just
before or just after the next time that it renames a file. With some of them a file is damaged too, as a bad disk does it: a bit of a
training's last checkpoint flipped, its end cut off, its record cut off, or MLflow's store removed; or the clock is set back. The log
has each; the exit code is 1 where a number, a weight or a table differs in the end.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tiny import PATIENCE, Campaign, Log, asked, differences

from pipeline.training.checkpoint import Damaged, before, read_checkpoint

CYCLE = ("prepare", *("train",) * 2, "snakemake", *("train",) * 2, "evaluate", *("train",) * 2, "aggregate", "figure", "report")
LONGEST = {"train": 3.0}  # seconds from when a process is seen until it is struck; of the others 1 at most, which are soon done
BACK = 3600  # seconds that the clock is set back
WIRES = Path(__file__).resolve().with_name("wires")


def disturb(campaign: Campaign, kills: int, chance: random.Random, log: Log) -> None:
    """Faults, each within the stage whose turn it is; whenever the campaign is done before, it begins again from nothing."""
    running = campaign.start()
    for number in range(kills):
        fault = Fault(campaign, CYCLE[number % len(CYCLE)], chance)
        began = time.monotonic()
        while not (struck := fault.strike()):
            if time.monotonic() - began > PATIENCE:
                raise SystemExit(f"no {fault.stage} was met within {PATIENCE} s: see {campaign.log}")
            if running.poll() == 0:
                campaign.must_be_done()
                log.note("done before the next fault")
                campaign.forget()
            if running.poll() is not None:
                running = campaign.start()
            time.sleep(0.1)
        log.note("fault", number=number + 1, stage=fault.stage, **struck, damaged=damage(campaign, chance))
    campaign.finish(running)


class Fault:
    """What is to befall a process of a stage, as chance has it."""

    def __init__(self, campaign: Campaign, stage: str, chance: random.Random):
        self.campaign, self.stage, self.chance = campaign, stage, chance
        self.kind = chance.choice(
            ("one", "one", "asked", "all", "rename", "rename") if stage != "snakemake" else ("one", "asked", "all")
        )
        self.armed, self.sprung = (campaign.folder / "wires" / name for name in ("armed", "sprung"))
        self.told = len(self.lines())

    def lines(self) -> list[str]:
        return self.sprung.read_text().splitlines() if self.sprung.exists() else []

    def strike(self) -> dict:
        """What was struck and how, or nothing while no process of the stage was met."""
        if len(self.lines()) > self.told:
            last = json.loads(self.lines()[-1])
            return {"struck": [self.stage], "how": f"SIGKILL {last['when']} a rename", "file": Path(last["file"]).name}
        if self.armed.exists() or self.stage not in self.campaign.processes().values():
            return {}
        if self.kind == "rename":
            self.armed.write_text(f"{self.stage} {self.chance.choice(('before', 'after'))}")
            return {}
        time.sleep(self.chance.uniform(0, LONGEST.get(self.stage, 1.0)))
        alive = self.campaign.processes()
        own = sorted(pid for pid, stage in alive.items() if stage == self.stage)
        if not own:
            return {}
        chosen = list(alive) if self.kind == "all" else [self.chance.choice(own)]
        sent = signal.SIGTERM if self.kind == "asked" else signal.SIGKILL
        for pid in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
        return {"struck": sorted(alive[pid] for pid in chosen), "how": sent.name}


def damage(campaign: Campaign, chance: random.Random) -> str:
    """Damage one file, if chance wants it and there is one that the campaign can do without; says which, and how."""
    kind = chance.choice(("", "", "", "", "flipped", "cut", "record", "store", "clock"))
    if kind == "clock":
        return set_back(campaign)
    if kind == "store":
        found = sorted((campaign.folder / "results").glob("mlflow.db"))
    elif kind == "record":
        found = sorted(campaign.results.glob("weights/*/record.jsonl"))
    else:
        found = [path for path in sorted(campaign.results.glob("weights/*/checkpoint.pt")) if whole(before(path))] if kind else []
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
    return f"{path.name} {'flipped' if kind == 'flipped' else 'cut'} at byte {place}"


def set_back(campaign: Campaign) -> str:
    """What a clock that is set back leaves: every file there is comes from the future."""
    for root in (campaign.results, campaign.folder / "data"):
        for path in root.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                then = path.stat().st_mtime + BACK
                os.utime(path, (then, then))
    return f"clock set back by {BACK} s"


def whole(path: Path) -> bool:
    try:
        read_checkpoint(path)
    except (Damaged, FileNotFoundError):
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    options, folder, log = asked(parser)
    wires = folder / "disturbed/wires"
    calm = Campaign(folder / "calm", like=options.calm)
    disturbed = Campaign(folder / "disturbed", PYTHONPATH=str(WIRES), FAULT_WIRES=str(wires))
    wires.mkdir()
    calm.finish()
    disturb(disturbed, options.kills, random.Random(options.seed), log)
    differ, twice = differences(calm.outcome(), disturbed.outcome()), disturbed.logged_twice()
    log.note("compared", differ=differ, logged_twice=twice, files=len(calm.outcome()))
    sys.exit(bool(differ or twice))


if __name__ == "__main__":
    main()
