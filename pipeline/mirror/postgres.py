"""Run a private PostgreSQL in a folder: made once, running as long as a block of code, reached by its socket and password.

It listens on no network. PostgreSQL refuses to run as root, so root starts it as Debian's user `postgres`.
"""
# Tested in tests/cluster/test_tracking_server.py

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

NAME = "mlflow"  # of the database and of the database's user
CONNECTIONS = 200  # at most; each of MLflow's workers may hold two pools of 15
DEBIAN = Path("/usr/lib/postgresql")  # has <version>/bin, which are not on the PATH
OWNER = "postgres"  # the system's user that root starts PostgreSQL as
INSTALL = (
    "apt-get install postgresql (or conda install postgresql), or name one that runs elsewhere with DATABASE=postgresql://..."
)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[subprocess.Popen, dict[str, str]]]:
    """Run a server on the cluster in `folder`, made if missing. Yields it and the environment by which libpq finds its database.

    Raises UserError where PostgreSQL is missing, or can't make the cluster or run on it.
    """
    log, data = folder / "log", folder / "data"
    programs = programs_for(data)
    if not folder.exists():
        create(folder, programs)
    password = (folder / "password").read_text(encoding="utf-8").strip()
    with tempfile.TemporaryDirectory(prefix="at-snn-") as socket:  # a socket's path has at most 107 bytes
        give_to_owner(Path(socket))
        log_start = log.stat().st_size if log.exists() else 0
        arguments = ["-D", data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={socket}"]
        arguments += ["-c", f"max_connections={CONNECTIONS}", "-c", "log_checkpoints=off"]
        with log.open("a", encoding="utf-8") as file:
            server = subprocess.Popen(
                [*as_owner(), programs / "postgres", *arguments], stdout=file, stderr=file, cwd="/", start_new_session=True
            )
        try:
            while subprocess.run([programs / "pg_isready", "--quiet", "--host", socket]).returncode:
                if server.poll() is not None:
                    raise UserError(start_failure(folder, log.read_bytes()[log_start:].decode(errors="replace")))
                time.sleep(0.1)
            yield server, {"PGHOST": socket, "PGUSER": NAME, "PGDATABASE": NAME, "PGPASSWORD": password}
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: its connections end, what was committed stays
            server.wait()


def create(folder: Path, programs: Path) -> None:
    """Create a cluster with an empty database and a password that only its owner can read, complete or not at all."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    try:
        initialize(folder, partial, programs)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def initialize(folder: Path, partial: Path, programs: Path) -> None:
    """Initialize a cluster in `partial`, which is then renamed to `folder`; errors name `folder`."""
    password = partial / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
    for path in (partial, password):
        give_to_owner(path)
    arguments = ["--pgdata", partial / "data", "--username", NAME, "--pwfile", password, "--auth", "scram-sha-256"]
    arguments += ["--encoding", "UTF8", "--locale", "C", "--data-checksums"]
    run_or_raise(folder, [programs / "initdb", *arguments])
    single_user = [programs / "postgres", "--single", "-D", partial / "data", "-c", "exit_on_error=true", "postgres"]
    run_or_raise(folder, single_user, f"CREATE DATABASE {NAME}\n")


def run_or_raise(folder: Path, command: list, stdin: str = "") -> None:
    """Run a command as the cluster's owner. Raises UserError with its error where it fails."""
    run = subprocess.run([*as_owner(), *command], input=stdin, capture_output=True, encoding="utf-8", errors="replace", cwd="/")
    if run.returncode:
        reason = next(iter(re.findall(r"(?:error|ERROR|FATAL): +(.*)", run.stderr)), run.stderr.strip()[-200:])
        access = f", where the system's user {OWNER} may go" if not os.geteuid() else ""
        raise UserError(f"PostgreSQL can't make its files in {folder} ({reason}): name another folder with FOLDER={access}")


def start_failure(folder: Path, log: str) -> str:
    """Say why a server did not start, by its log, and what to do."""
    reason = (re.findall(r"(?:FATAL|PANIC): +(.*)", log) or log.strip().splitlines()[-1:] or ["it says nothing"])[-1]
    return (
        f"PostgreSQL does not run on {folder} ({reason}; all of it: {folder / 'log'}): stop another one that runs on it, "
        "or, if it is damaged, move it away: a new one is filled from the records"
    )


def programs_for(data: Path) -> Path:
    """Find the folder of PostgreSQL's programs: of the version that made the cluster in `data`, the newest for a new cluster.

    Raises UserError where they are missing, or `data` is no cluster.
    """
    folders = {version: folder for folder in program_folders() if (version := version_of(folder))}
    if not folders:
        raise UserError(f"PostgreSQL's programs are missing: {INSTALL}")
    if not data.parent.exists():
        return folders[max(folders)]
    try:
        made_by = int((data / "PG_VERSION").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{data} is no cluster of PostgreSQL ({error}): move {data.parent} away, and a new one is filled from the records"
        ) from error
    if made_by not in folders:
        raise UserError(
            f"{data} was made by PostgreSQL {made_by}, installed is {', '.join(map(str, sorted(folders)))}: "
            f"apt-get install postgresql-{made_by}, or move {data.parent} away: a new one is filled from the records"
        )
    return folders[made_by]


def program_folders() -> list[Path]:
    """List folders of PostgreSQL's programs; the one on the PATH comes last, and wins over others of its version."""
    on_path = shutil.which("initdb")
    return [*DEBIAN.glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])]


def version_of(folder: Path) -> int | None:
    """Read the major version of the server in a folder; None where there is none."""
    if not all((folder / name).exists() for name in ("initdb", "postgres", "pg_isready")):
        return None
    version_line = subprocess.run([folder / "postgres", "--version"], capture_output=True, encoding="utf-8").stdout
    return int(match[1]) if (match := re.search(r"\) (\d+)", version_line)) else None


def as_owner() -> list[str]:
    """Give the prefix that runs a command as the cluster's owner, and ends it (SIGINT) when this process ends in whatever way."""
    user = owner()
    ids = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--init-groups"] if user else []
    return ["setpriv", "--pdeathsig", "INT", *ids, "--"]


def owner() -> pwd.struct_passwd | None:
    """Find the user that root starts PostgreSQL as; None for any other user, who starts it as itself."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(OWNER)
    except KeyError as error:
        raise UserError(
            f"PostgreSQL refuses to run as root, and there is no user {OWNER}: be another user, or {INSTALL}"
        ) from error


def give_to_owner(path: Path) -> None:
    """Make the cluster's owner the owner of a file or folder."""
    if user := owner():
        os.chown(path, user.pw_uid, user.pw_gid)
