"""A campaign whose processes are killed at random until it is done, compared with one that nobody disturbed.

python tests/faults/kills.py --kills 40 --seed 0 --folder FOLDER [--log FILE]. A fault is a moment and one of the processes alive
then (each second time a training, where one is alive) with SIGKILL or SIGTERM; all of them with SIGKILL; or whichever renames a
file next, just before or just after it does. With some of them a file is damaged too, as a bad disk does it: a bit of a training's
last checkpoint flipped, its end cut off, its record cut off, or MLflow's store removed; or the clock is set back. The log has
each; the exit code is 1 where a number, a weight or a table differs in the end.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tiny import Campaign, Log, differences

from pipeline.checkpoint import before

LONGEST = 9.0  # seconds between two faults
RENAMES = 15.0  # seconds that are waited for a rename
BACK = 3600  # seconds that the clock is set back
WIRES = Path(__file__).resolve().with_name("wires")


def disturb(campaign: Campaign, kills: int, chance: random.Random, log: Log) -> None:
    """Faults until there were as many; whenever the campaign is done before, it begins again from nothing."""
    done, inside, running = 0, 0, campaign.start()
    while done < kills:
        time.sleep(chance.uniform(0.2, LONGEST))
        if running.poll() == 0:
            campaign.must_be_done()
            log.note("done before the next fault")
            campaign.forget()
        elif alive := campaign.processes():
            if struck := strike(campaign, alive, chance, training=2 * inside <= done):
                done, inside = done + 1, inside + ("train" in struck["struck"])
                log.note("fault", number=done, **struck, damaged=damage(campaign, chance))
        if running.poll() is not None:
            running = campaign.start()
    campaign.finish(running)


def strike(campaign: Campaign, alive: dict[int, str], chance: random.Random, training: bool) -> dict:
    """One fault: within a `training` where it is a training's turn and one is alive; nothing where no process met it."""
    trainings = [pid for pid, stage in alive.items() if stage == "train"]
    others = [pid for pid, stage in alive.items() if stage != "train"]
    kind = chance.choice(("one", "one", "one", "asked", "all", "rename", "rename"))
    if kind == "rename":
        return at_a_rename(campaign, chance.choice(("before", "after")))
    if kind == "all":
        chosen, sent = list(alive), signal.SIGKILL
    else:
        pool = trainings if trainings and (training or not others) else others
        chosen, sent = [chance.choice(sorted(pool))], signal.SIGTERM if kind == "asked" else signal.SIGKILL
    for pid in chosen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sent)
    return {"struck": sorted(alive[pid] for pid in chosen), "how": sent.name}


def at_a_rename(campaign: Campaign, when: str) -> dict:
    """The next process that renames a file is killed; nothing where none does in time."""
    wires = campaign.folder / "wires"
    armed, sprung = wires / "armed", wires / "sprung"
    told = len(sprung.read_text().splitlines()) if sprung.exists() else 0
    armed.write_text(when)
    until = time.monotonic() + RENAMES
    while time.monotonic() < until:
        lines = sprung.read_text().splitlines() if sprung.exists() else []
        if len(lines) > told:
            last = json.loads(lines[-1])
            stages = [word.removeprefix("pipeline.") for word in last["command"] if word.startswith("pipeline.")]
            return {"struck": stages or ["snakemake"], "how": f"SIGKILL {when} a rename", "file": Path(last["file"]).name}
        time.sleep(0.05)
    armed.unlink(missing_ok=True)
    return {}


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
    """A checkpoint that its checksum agrees with."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return False
    return digest.decode(errors="replace") == hashlib.sha256(content).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="empty or absent; it holds both campaigns")
    parser.add_argument("--log", type=Path, help="append to this file (default: FOLDER/faults.jsonl)")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty: delete it, or name another folder or seed")
    log = Log(options.log or folder / "faults.jsonl", seed=options.seed)
    wires = folder / "disturbed/wires"
    calm = Campaign(folder / "calm")
    disturbed = Campaign(folder / "disturbed", PYTHONPATH=str(WIRES), FAULT_WIRES=str(wires))
    wires.mkdir()
    calm.finish()
    disturb(disturbed, options.kills, random.Random(options.seed), log)
    differ, twice = differences(calm.outcome(), disturbed.outcome()), disturbed.logged_twice()
    log.note("compared", differ=differ, logged_twice=twice, files=len(calm.outcome()))
    sys.exit(bool(differ or twice))


if __name__ == "__main__":
    main()
