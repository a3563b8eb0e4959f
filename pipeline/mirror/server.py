"""Run MLflow's server on PostgreSQL, for the jobs of any number of machines.

The command is pipeline.tracking_server, whose text says how it is used and by which rules.
"""
# Tested in tests/cluster/test_tracking_server.py

import contextlib
import fcntl
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.redaction import redact
from pipeline.mirror.postgres import cluster

EVERY_NETWORK = ("0.0.0.0", "::")  # hosts that mean every network of this machine
PRIVATE_DATABASE = "postgresql://"  # libpq takes the rest from its environment, so no list of processes shows the password
MLFLOW_SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
SHUTDOWN_SECONDS = 30  # MLflow's server is killed if it has not ended by then


def serve(host: str, port: int, folder: Path, database: str | None) -> None:
    """Serve until this process is asked to end. Raises UserError when one of the servers ends by itself."""
    must_be_free(host, port)
    folder = folder.resolve()  # absolute, as PostgreSQL is started in another folder
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_server(folder))
        servers, environment = {}, {}
        if database:
            must_answer(database)
        else:
            servers["PostgreSQL"], environment = stack.enter_context(cluster(folder / "postgres"))
        environment |= MLFLOW_SETTINGS | {"MLFLOW_BACKEND_STORE_URI": database or PRIVATE_DATABASE}
        servers["MLflow's server"] = stack.enter_context(mlflow(host, port, folder / "artifacts", environment))
        while not answers(host, port) and not any_ended(servers):
            time.sleep(0.2)
        if not any_ended(servers):
            print_address(host, port)
        while not any_ended(servers):
            time.sleep(0.5)
        raise UserError(f"{any_ended(servers)} has ended: see above (PostgreSQL's log lies in {folder}), then start it again")


@contextlib.contextmanager
def mlflow(host: str, port: int, artifacts: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """Run MLflow's server; it ends with its workers when the block ends, or this process in whatever way."""
    arguments = ["--host", host, "--port", str(port), "--serve-artifacts", "--artifacts-destination", str(artifacts.resolve())]
    arguments += ["--uvicorn-opts", "--no-access-log --log-level warning"]
    inherited = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "DATABASE")}
    environment = allowed_hosts(host) | inherited | environment
    server = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "mlflow", "server", *arguments],
        env=environment,
        start_new_session=True,
    )
    try:
        yield server
    finally:
        server.terminate()  # it ends its workers
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(SHUTDOWN_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def allowed_hosts(host: str) -> dict[str, str]:
    """Give MLflow's setting of the host names its server answers to, which refuses web pages that use a name of their own."""
    if is_loopback(host):
        return {}  # MLflow's default
    from mlflow.server.security_utils import get_default_allowed_hosts

    names = dict.fromkeys([host, socket.gethostname(), socket.getfqdn()])
    names = [*get_default_allowed_hosts(), *(f"{name}{port}" for name in names for port in ("", ":*"))]
    return {"MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(names)}


@contextlib.contextmanager
def only_server(folder: Path) -> Iterator[None]:
    """Lock a folder for one server on any machine: PostgreSQL itself looks for another one on this machine only."""
    with (folder / ".lock").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another tracking server runs on {folder}: stop it, or name another folder with FOLDER=") from None
        yield


def must_be_free(host: str, port: int) -> None:
    """Raise UserError if a port can't be listened on."""
    try:
        if not 0 < port < 2**16:
            raise OverflowError("there is no such port")
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}, port {port}, can't be listened on ({error}): name another PORT=, or HOST=") from error


def must_answer(database: str) -> None:
    """Raise UserError if a database that someone else runs can't be used; MLflow would try again for minutes."""
    from sqlalchemy import create_engine

    try:
        if not database.startswith("postgresql"):
            raise ValueError("it is no postgresql://...")
        create_engine(database, connect_args={"connect_timeout": 10}).connect().close()
    except Exception as error:  # SQLAlchemy and libpq raise errors of their own
        reason = redact(str(error).partition("\n(Background on")[0].strip(), database)
        raise UserError(f"DATABASE can't be used ({reason}): mend it, or leave it away for a private PostgreSQL") from error


def answers(host: str, port: int) -> bool:
    """Check that MLflow's server answers."""
    try:
        with urllib.request.urlopen(
            f"{address_of('localhost' if host in EVERY_NETWORK else host, port)}/health", timeout=5
        ) as response:
            return response.status == 200
    except (OSError, urllib.error.URLError):
        return False


def any_ended(servers: dict[str, subprocess.Popen]) -> str:
    """Name a server that has ended; an empty string where all run."""
    return next((name for name, server in servers.items() if server.poll() is not None), "")


def print_address(host: str, port: int) -> None:
    """Print the setting that users of the server need, and a warning where other machines reach it."""
    print(f"export MLFLOW_TRACKING_URI={address_of(socket.gethostname() if host in EVERY_NETWORK else host, port)}", flush=True)
    if not is_loopback(host):
        print(f"tracking server: anyone who reaches port {port} of this machine can read and write all of it", file=sys.stderr)


def address_of(host: str, port: int) -> str:
    """Give the URL of a host and port, an IPv6 address in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Check that a host's addresses are all of this machine only."""
    addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


def serve_until_stopped(host: str, port: int, folder: Path, database: str | None) -> None:
    """Call `serve` until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        serve(host, port, folder, database)
