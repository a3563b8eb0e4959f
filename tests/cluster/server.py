"""`make tracking-server` as a test runs it, and the processes that it consists of."""

import collections
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pipeline.core.paths import ROOT


class Server:
    """`make tracking-server` on a port that is free; it can be stopped and started again."""

    def __init__(self, folder, **variables):
        self.folder, self.port = folder, free_port()
        self.address, self.log = f"http://127.0.0.1:{self.port}", folder.with_name(f"{folder.name}.log")
        variables |= {"PORT": self.port, "FOLDER": os.path.relpath(folder, ROOT), "BIN": Path(sys.executable).parent}
        self.words = ["make", "-o", ".venv/ready", "tracking-server", *(f"{name}={value}" for name, value in variables.items())]

    def start(self):
        environment = os.environ | {"MLFLOW_WORKERS": "2", "HOST": "what.a.shell.exports", "DATABASE": "of another program"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(self.words, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 120
        while "export MLFLOW_TRACKING_URI=" not in self.log.read_text():
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)
        return self

    def database(self):
        """How its own PostgreSQL is reached."""
        words = [word for line in commands(self.process.pid) for word in line.split("\0")]
        (where,) = {word.partition("=")[2] for word in words if "unix_socket_directories" in word}
        password = (self.folder / "postgres" / "password").read_text().strip()
        return {"host": where, "user": "mlflow", "dbname": "mlflow", "password": password}

    def stop(self, how=signal.SIGTERM):
        """make ends by the signal, and nothing that it started is left."""
        started = children(self.process.pid)
        (os.killpg if how == signal.SIGINT else os.kill)(self.process.pid, how)  # as a terminal does, and as a queue
        assert self.process.wait(60) == -how
        wait_for(lambda: not any(map(runs, started)), 5)


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"nothing happened for {seconds} s"
        time.sleep(0.05)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def children(pid):
    """All processes below one."""
    below = collections.defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            below[int(path.read_text().rpartition(")")[2].split()[1])].append(int(path.parent.name))
    found = [pid]
    for parent in found:
        found += below[parent]
    return found[1:]


def commands(pid):
    """The command lines of all processes below one, as everyone on the machine sees them."""
    lines = []
    for child in children(pid):
        with contextlib.suppress(OSError):  # it has just ended
            lines.append(Path(f"/proc/{child}/cmdline").read_bytes().decode())
    return lines


def runs(pid):
    """Whether a process has not ended; one that nobody has asked for its exit code has."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
