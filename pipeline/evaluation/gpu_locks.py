"""A GPU of its own for each job of this machine: one lock a device, held as long as the job lasts.

On a cluster the scheduler gives a job its devices, and just those are seen here; on a machine with several GPUs nobody does.
A device is known by its UUID, so that jobs that see different ones never wait for each other. Imports no torch.
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
PATIENCE = 1.0  # seconds between two looks for a free device


def present() -> list[tuple[str, str]]:
    """Index and UUID of every NVIDIA GPU that this process may see, as nvidia-smi tells them; none where it isn't installed."""
    try:
        told = subprocess.run(["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"], capture_output=True, text=True)
    except OSError:
        return []
    if told.returncode:
        return []
    return [tuple(part.strip() for part in line.split(",", 1)) for line in told.stdout.splitlines() if "," in line]


def allowed() -> list[str]:
    """UUIDs of the devices that CUDA_VISIBLE_DEVICES leaves, all where it isn't set."""
    devices, wanted = present(), os.environ.get(VISIBLE)
    if wanted is None:
        return [uuid for _, uuid in devices]
    named = [name.strip() for name in wanted.split(",") if name.strip()]
    return list(dict.fromkeys(uuid for name in named for index, uuid in devices if name == index or uuid.startswith(name)))


def take(count: int, say: Callable[[str], None]) -> list[str]:
    """Locks `count` devices for as long as this process lasts, whatever it becomes by exec, and makes them the only ones it sees.

    Waits until so many are free; takes all that it needs or none. Returns their UUIDs, none where the machine has no GPU.
    Raises UserError where it has fewer.
    """
    devices = allowed()
    if not devices:
        return []
    if count > len(devices):
        raise UserError(f"{count} GPUs are asked for and {len(devices)} can be used here: ask for fewer, or see {VISIBLE}")
    told = False
    while len(taken := locked(devices, count)) < count:
        for file in taken.values():
            os.close(file)
        if not told:
            say(f"waits for {count} of {len(devices)} GPUs to be free")
            told = True
        time.sleep(PATIENCE)
    os.environ[VISIBLE] = ",".join(taken)
    say(f"has {os.environ[VISIBLE]} for itself")
    return list(taken)


def locked(devices: list[str], count: int) -> dict[str, int]:
    """Up to `count` of the devices that no other process holds, with the open files that hold them."""
    held: dict[str, int] = {}
    for uuid in devices:
        if len(held) == count:
            break
        path = Path(tempfile.gettempdir()) / f"at-snn-{uuid}.lock"
        file = opened(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        os.set_inheritable(file, True)
        held[uuid] = file
    return held


def opened(path: Path) -> int:
    """The lock of a device, whoever made it: Linux lets nobody else open it in /tmp as if to create it."""
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
