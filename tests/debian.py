"""Debian's packages, installed by tests that need them: as root, and one test after the other, as apt-get refuses a second one."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def install(*packages: str) -> None:
    """Install packages where that is allowed; what is missing afterwards couldn't be installed."""
    if os.geteuid() or not shutil.which("apt-get"):
        return
    surroundings = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with open(Path(tempfile.gettempdir(), "at-snn-apt-get.lock"), "w") as turn, contextlib.suppress(subprocess.TimeoutExpired):
        fcntl.flock(turn, fcntl.LOCK_EX)
        for words in (("update",), ("install", "--yes", "--no-install-recommends", *packages)):
            subprocess.run(["apt-get", "-q", *words], capture_output=True, timeout=400, env=surroundings)
