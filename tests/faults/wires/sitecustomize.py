"""Python runs this first, in every process whose PYTHONPATH holds this folder: a process dies where it renames a file.

The folder in FAULT_WIRES holds `armed` while the next rename is to be its process's end, before it or after it as the file
says; `sprung` gets a line on each. Where FAULT_CLOCK is set, Python's clock is as many seconds ahead.
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
            rename(os.path.join(folder, "armed"), claimed)  # one process wins
        except OSError:
            return rename(source, target, **more)
        with open(claimed) as file:
            when = file.read()
        with open(os.path.join(folder, "sprung"), "a") as file:
            file.write(json.dumps({"file": os.fspath(target), "when": when, "command": sys.orig_argv[1:]}) + "\n")
        if when == "after":
            rename(source, target, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    return replace


if os.environ.get("FAULT_WIRES"):
    os.replace = wired(os.environ["FAULT_WIRES"], os.replace)
if os.environ.get("FAULT_CLOCK"):
    time.time = lambda now=time.time, ahead=float(os.environ["FAULT_CLOCK"]): now() + ahead
