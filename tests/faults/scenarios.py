"""Faults that take more than a moment: each in a copy of a finished campaign of which a part is to be made again.

python tests/faults/scenarios.py --folder FOLDER [--log FILE] [NAME ...]. Wherever a line says what to do, just that is done. In the
end the campaign has the numbers of the one that nobody disturbed; the exit code is 1 where it has not. What this machine does not
allow (a small file system takes a mount) is logged as not tried.
"""

import argparse
import random
import re
import shutil
import sys
from pathlib import Path

import damages  # noqa: F401  they enter themselves into SCENARIOS
import surroundings  # noqa: F401
from scenario import SCENARIOS, NotAsItMust, NotHere
from tiny import Campaign, Log, asked, differences


def attempt(calm: Campaign, name: str, folder: Path, log: Log) -> bool:
    """Whether a scenario ends with the numbers of the calm campaign."""
    copy = Campaign(folder, like=calm.folder)
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
    parser.add_argument("names", nargs="*", metavar="NAME", help="some of them (default: all)")
    options, folder, log = asked(parser)
    names = options.names or list(SCENARIOS)
    if unknown := set(names) - SCENARIOS.keys():
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(SCENARIOS)}")
    random.Random(options.seed).shuffle(names)
    calm = Campaign(folder / "calm", like=options.calm)
    log.note("planned", faults=names)
    calm.finish()
    done = [attempt(calm, name, folder / re.sub(r"\W+", "_", name), log) for name in names]
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
