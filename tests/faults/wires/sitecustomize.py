"""Python runs this first, in every process whose PYTHONPATH holds this folder: a process dies where it renames a file.

The folder in FAULT_WIRES holds `armed` while the next rename in a stage is to be its process's end: the file names the stage, and says
whether before the rename or after it. `sprung` gets a line on each. Where FAULT_CLOCK is set, Python's clock is as many seconds ahead.
"""

import json
import os
import signal
import sys
import time


def wired(folder: str, rename):
    def replace(source, target, **more):
        claimed = os.path.join(folder, f"claimed.{os.getpid()}")
        try:
            with open(os.path.join(folder, "armed")) as file:
                stage, when = file.read().split()
            if f"pipeline.{stage}" not in sys.orig_argv:
                return rename(source, target, **more)
            rename(os.path.join(folder, "armed"), claimed)  # one process wins
        except (OSError, ValueError):
            return rename(source, target, **more)
        with open(os.path.join(folder, "sprung"), "a") as file:
            file.write(json.dumps({"file": os.fspath(target), "when": when}) + "\n")
        if when == "after":
            rename(source, target, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    return replace


if os.environ.get("FAULT_WIRES"):
    os.replace, os.rename = (wired(os.environ["FAULT_WIRES"], rename) for rename in (os.replace, os.rename))
if os.environ.get("FAULT_CLOCK"):
    time.time = lambda now=time.time, ahead=float(os.environ["FAULT_CLOCK"]): now() + ahead
