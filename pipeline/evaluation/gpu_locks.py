"""Give each job of this machine GPUs of its own: one lock a device, held as long as the job lasts.

On a cluster the scheduler gives a job its devices, and only those are visible here; on a machine with several GPUs nobody
does. Locks are named by the UUID of the device, so jobs that see different devices never wait for each other. A job that can't
know its devices has the machine's GPUs to itself. Imports no torch.
"""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.evaluation.visible_gpus import VISIBLE, UnknownDevices, visible

EVERY_GPU = "every-gpu"  # locked with others by jobs that know their devices, alone by one that doesn't
PATIENCE = 1.0  # seconds between two attempts to lock free devices


def jobs_at_once() -> int:
    """Count the jobs that have a device each: 0 without GPUs, and 1, with a line on stderr, where devices can't be known."""
    try:
        return len(visible())
    except UnknownDevices as reason:
        print(one_at_a_time(reason), file=sys.stderr)
        return 1


def one_at_a_time(reason: UnknownDevices) -> str:
    """Say that jobs run one after the other, and why."""
    return f"one job at a time uses GPUs, since they can't be told apart: {reason}"


def take(count: int, say: Callable[[str], None]) -> list[str]:
    """Lock `count` devices for as long as this process lasts, through exec too, and make them the only ones it sees.

    Waits until so many are free; holds all of them or none. Returns their UUIDs; none where CUDA shows no GPU, and none where
    they can't be known: then no other job of this machine has one meanwhile. Raises UserError where there are fewer.
    """
    try:
        devices = usable(visible(), count)
    except UnknownDevices as reason:
        say(one_at_a_time(reason))
        wait_for(lock_every_gpu, "the GPUs of this machine to be free", say)
        return []
    if not devices:
        if os.environ.get(VISIBLE):
            say(f"has no GPU: {VISIBLE}={os.environ[VISIBLE]} names none that is here, or one twice")
        return []
    taken = wait_for(lambda: lock_free(devices, count), f"{count} of {len(devices)} GPUs to be free", say)
    os.environ[VISIBLE] = ",".join(taken)
    say(f"has {os.environ[VISIBLE]} for itself")
    return taken


def usable(devices: list[str], count: int) -> list[str]:
    """List the devices of which one training can have `count`. Raises UserError where they are fewer, but more than none."""
    together = [uuid for uuid in devices if count == 1 or not uuid.startswith("MIG-")]
    if devices and len(together) < count:
        why = "" if together == devices else ", MIG instances aside, which can't train together"
        raise UserError(f"{count} GPUs are asked for and {len(together)} can be used here{why}: ask for fewer, or see {VISIBLE}")
    return together


def wait_for(attempt: Callable[[], list[str]], what: str, say: Callable[[str], None]) -> list[str]:
    """Try again until locks are held, and say once that this takes a while. Returns their names."""
    has_said_waiting = False
    while not (held := attempt()):
        if not has_said_waiting:
            say(f"waits for {what}")
            has_said_waiting = True
        time.sleep(PATIENCE)
    return held


def lock_free(devices: list[str], count: int) -> list[str]:
    """Lock `count` of the devices that no other process holds, or none. Returns those locked."""
    shared = lock(EVERY_GPU, fcntl.LOCK_SH)
    if shared is None:
        return []
    files = {}
    for uuid in devices:
        file = lock(uuid, fcntl.LOCK_EX)
        if file is not None:
            files[uuid] = file
        if len(files) == count:
            return list(files)
    for file in (shared, *files.values()):
        os.close(file)
    return []


def lock_every_gpu() -> list[str]:
    """Lock out all jobs of this machine that have a GPU, unless there is one. Returns the lock's name, or nothing."""
    return [] if lock(EVERY_GPU, fcntl.LOCK_EX) is None else [EVERY_GPU]


def lock(name: str, kind: int) -> int | None:
    """Lock a device's file, open in what this process executes too. Returns the file, None where another process has it."""
    file = open_lock_file(Path(tempfile.gettempdir()) / f"at-snn-{name.replace('/', '-')}.lock")
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    os.set_inheritable(file, True)
    return file


def open_lock_file(path: Path) -> int:
    """Open a device's lock file, or create it. In /tmp, Linux lets nobody open another user's file with O_CREAT: open first."""
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        try:
            file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            continue
        os.fchmod(file, 0o644)  # whatever the umask
        return file
