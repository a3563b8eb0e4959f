"""Make a folder that several of the processes that test need, in whichever of them comes first."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path


def made_once(tmp_path_factory, worker_id: str, name: str, make: Callable[[Path], object]) -> Path:
    """Give the folder that `make` has filled, in this process or another one. Who changes it works in a copy."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    folder, partial = shared / name, shared / f"partial-{name}"
    with (shared / f"{name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            make(partial)
            partial.rename(folder)
    return folder
