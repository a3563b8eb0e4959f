"""Find the processes that tests have started and left behind: each of them has a mark in its environment."""

import os
import signal
import time
from pathlib import Path

MARK = "ATSNN_TESTED_BY"  # in the environment of all that this process starts: its id
PATIENCE = 10  # seconds in which what is about to end may do so
OF_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")  # end with the process that started them


def mark_children() -> None:
    """Mark every process that this one will start."""
    os.environ[MARK] = str(os.getpid())


def left(also: str = "") -> dict[int, str]:
    """List the marked processes that run, with their commands; `also`: a text that must stand in their environment too."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes().decode(errors="replace")
            command = (place / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
        except OSError:  # it has just ended, or is another user's
            continue
        is_ours = f"{MARK}={os.getpid()}\0" in environment and also in environment and int(place.name) != os.getpid()
        if is_ours and command and not any(name in command for name in OF_PYTHON):
            found[int(place.name)] = command
    return found


def kill(processes: dict[int, str]) -> None:
    """Kill processes that are still there."""
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def left_for_good() -> dict[int, str]:
    """Wait a little for marked processes to end. Returns those that go on."""
    until = time.monotonic() + PATIENCE
    while (processes := left()) and time.monotonic() < until:
        time.sleep(0.1)
    return processes
