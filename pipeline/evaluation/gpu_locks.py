"""Give each job of this machine GPUs of its own: one lock a device, held as long as the job lasts.

On a cluster the scheduler gives a job its devices, and only those are visible here; on a machine with several GPUs nobody
does. Locks are named by the UUID of the device, so jobs that see different devices never wait for each other. Imports no torch.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.core.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
PATIENCE = 1.0  # seconds between two attempts to lock free devices


def present() -> list[tuple[str, str]]:
    """List index and UUID of every NVIDIA GPU that nvidia-smi shows to this process; none where it fails or isn't installed."""
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"], capture_output=True, text=True
        )
    except OSError:
        return []
    if listing.returncode:
        return []
    return [tuple(part.strip() for part in line.split(",", 1)) for line in listing.stdout.splitlines() if "," in line]


def allowed() -> list[str]:
    """List UUIDs of the devices that CUDA_VISIBLE_DEVICES allows, in its order; all devices where it isn't set."""
    devices, visible = present(), os.environ.get(VISIBLE)
    if visible is None:
        return [uuid for _, uuid in devices]
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return list(dict.fromkeys(uuid for name in names for index, uuid in devices if name == index or uuid.startswith(name)))


def take(count: int, say: Callable[[str], None]) -> list[str]:
    """Lock `count` devices for as long as this process lasts, through exec too, and make them the only ones it sees.

    Waits until so many are free; holds all of them or none. Returns their UUIDs, none where the machine has no GPU.
    Raises UserError where it has fewer than `count`.
    """
    devices = allowed()
    if not devices:
        return []
    if count > len(devices):
        raise UserError(f"{count} GPUs are asked for and {len(devices)} can be used here: ask for fewer, or see {VISIBLE}")
    has_said_waiting = False
    while len(taken := lock_free(devices, count)) < count:
        for file in taken.values():
            os.close(file)
        if not has_said_waiting:
            say(f"waits for {count} of {len(devices)} GPUs to be free")
            has_said_waiting = True
        time.sleep(PATIENCE)
    os.environ[VISIBLE] = ",".join(taken)
    say(f"has {os.environ[VISIBLE]} for itself")
    return list(taken)


def lock_free(devices: list[str], count: int) -> dict[str, int]:
    """Lock up to `count` of the devices that no other process holds. Returns the open lock file of each, by UUID."""
    lock_files: dict[str, int] = {}
    for uuid in devices:
        if len(lock_files) == count:
            break
        path = Path(tempfile.gettempdir()) / f"at-snn-{uuid}.lock"
        file = open_lock_file(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        os.set_inheritable(file, True)
        lock_files[uuid] = file
    return lock_files


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
