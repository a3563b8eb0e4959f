"""A private PostgreSQL in a folder: made once, running as long as a block of code, reached through a socket with its password.

It listens to no network. PostgreSQL refuses to run as root, who starts it as Debian's user `postgres`.
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import UserError

NAME = "mlflow"  # of the database and of its user
CONNECTIONS = 200  # at most; each of MLflow's workers may hold two pools of 15
DEBIAN = Path("/usr/lib/postgresql")  # <version>/bin, on no PATH
OWNER = "postgres"
INSTALL = (
    "apt-get install postgresql (or conda install postgresql), or name one that runs elsewhere with DATABASE=postgresql://..."
)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[subprocess.Popen, dict[str, str]]]:
    """The server that runs on a cluster in `folder`, and the environment in which libpq finds its database.

    Raises UserError where PostgreSQL is missing, or can't make the cluster or run on it.
    """
    log, data = folder / "log", folder / "data"
    programs = programs_for(data)
    if not folder.exists():
        create(folder, programs)
    password = (folder / "password").read_text().strip()
    with tempfile.TemporaryDirectory(prefix="at-snn-") as socket:  # a socket's path has at most 107 bytes
        own(Path(socket))
        began = log.stat().st_size if log.exists() else 0
        words = ["-D", data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={socket}"]
        words += ["-c", f"max_connections={CONNECTIONS}", "-c", "log_checkpoints=off"]
        with log.open("a") as file:
            server = subprocess.Popen(
                [*as_owner(), programs / "postgres", *words], stdout=file, stderr=file, cwd="/", start_new_session=True
            )
        try:
            while subprocess.run([programs / "pg_isready", "--quiet", "--host", socket]).returncode:
                if server.poll() is not None:
                    raise UserError(ended(folder, log.read_bytes()[began:].decode(errors="replace")))
                time.sleep(0.1)
            yield server, {"PGHOST": socket, "PGUSER": NAME, "PGDATABASE": NAME, "PGPASSWORD": password}
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: its connections end, and what was committed stays
            server.wait()


def create(folder: Path, programs: Path) -> None:
    """A cluster with an empty database and a password that only its owner can read, complete or absent."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    try:
        fill(folder, partial, programs)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fill(folder: Path, partial: Path, programs: Path) -> None:
    """What is to become `folder`, in `partial`."""
    password = partial / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24) + "\n")
    for path in (partial, password):
        own(path)
    words = ["--pgdata", partial / "data", "--username", NAME, "--pwfile", password, "--auth", "scram-sha-256"]
    words += ["--encoding", "UTF8", "--locale", "C", "--data-checksums"]
    succeed(folder, [programs / "initdb", *words])
    single = [programs / "postgres", "--single", "-D", partial / "data", "-c", "exit_on_error=true", "postgres"]
    succeed(folder, single, f"CREATE DATABASE {NAME}\n")


def succeed(folder: Path, words: list, told: str = "") -> None:
    run = subprocess.run([*as_owner(), *words], input=told, capture_output=True, text=True, cwd="/")
    if run.returncode:
        reason = next(iter(re.findall(r"(?:error|ERROR|FATAL): +(.*)", run.stderr)), run.stderr.strip()[-200:])
        reach = f", where the system's user {OWNER} may go" if not os.geteuid() else ""
        raise UserError(f"PostgreSQL can't make its files in {folder} ({reason}): name another folder with FOLDER={reach}")


def ended(folder: Path, log: str) -> str:
    """Why a server did not start, in words."""
    reason = (re.findall(r"(?:FATAL|PANIC): +(.*)", log) or log.strip().splitlines()[-1:] or ["it says nothing"])[-1]
    return (
        f"PostgreSQL does not run on {folder} ({reason}; all of it: {folder / 'log'}): stop another one that runs on it, "
        "or, if it is damaged, move it away: a new one is filled from the records"
    )


def programs_for(data: Path) -> Path:
    """The folder of PostgreSQL's programs: of the version that made a cluster, the newest one for a new one."""
    found = {version: place for place in places() if (version := version_of(place))}
    if not found:
        raise UserError(f"PostgreSQL's programs are missing: {INSTALL}")
    if not data.parent.exists():
        return found[max(found)]
    try:
        made_by = int((data / "PG_VERSION").read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{data} is no cluster of PostgreSQL ({error}): move {data.parent} away, and a new one is filled from the records"
        ) from error
    if made_by not in found:
        raise UserError(
            f"{data} was made by PostgreSQL {made_by}, installed is {', '.join(map(str, sorted(found)))}: "
            f"apt-get install postgresql-{made_by}, or move {data.parent} away: a new one is filled from the records"
        )
    return found[made_by]


def places() -> list[Path]:
    """Folders with PostgreSQL's programs; what is on the PATH comes last, and counts."""
    on_path = shutil.which("initdb")
    return [*DEBIAN.glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])]


def version_of(place: Path) -> int | None:
    """The major version of the server in a folder; nothing where there is none."""
    if not all((place / name).exists() for name in ("initdb", "postgres", "pg_isready")):
        return None
    told = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True).stdout
    return int(found[1]) if (found := re.search(r"\) (\d+)", told)) else None


def as_owner() -> list[str]:
    """What makes a command run as the cluster's owner, and end (SIGINT) when this process ends in whatever way."""
    user = owner()
    ids = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--init-groups"] if user else []
    return ["setpriv", "--pdeathsig", "INT", *ids, "--"]


def owner() -> pwd.struct_passwd | None:
    """Whom root starts PostgreSQL as; anyone else starts it as himself."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(OWNER)
    except KeyError as error:
        raise UserError(
            f"PostgreSQL refuses to run as root, and there is no user {OWNER}: be another user, or {INSTALL}"
        ) from error


def own(path: Path) -> None:
    if user := owner():
        os.chown(path, user.pw_uid, user.pw_gid)
