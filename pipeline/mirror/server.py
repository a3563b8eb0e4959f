"""MLflow's server on PostgreSQL, for the jobs of any number of machines.  make tracking-server

It runs in the foreground, on a private PostgreSQL in --folder, or on the one that --database names (default: $DATABASE).
Ctrl-C or SIGTERM ends both; started again it goes on with what it has.
"""

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
from pipeline.mirror.postgres import cluster

ANY = ("0.0.0.0", "::")  # hosts that mean every network of this machine
PRIVATE = "postgresql://"  # libpq takes the rest from its environment, where no list of processes shows a password
SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
PATIENCE = 30  # seconds in which MLflow's server must end when it is asked to


def serve(host: str, port: int, folder: Path, database: str | None) -> None:
    """Until one of the servers ends, which raises UserError, or this process is asked to end."""
    must_be_free(host, port)
    folder = folder.resolve()  # PostgreSQL is started elsewhere
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_server(folder))
        servers, environment = {}, {}
        if database:
            must_answer(database)
        else:
            servers["PostgreSQL"], environment = stack.enter_context(cluster(folder / "postgres"))
        environment |= SETTINGS | {"MLFLOW_BACKEND_STORE_URI": database or PRIVATE}
        servers["MLflow's server"] = stack.enter_context(mlflow(host, port, folder / "artifacts", environment))
        while not answers(host, port) and not any_ended(servers):
            time.sleep(0.2)
        if not any_ended(servers):
            tell(host, port)
        while not any_ended(servers):
            time.sleep(0.5)
        raise UserError(f"{any_ended(servers)} has ended: see above (PostgreSQL's log lies in {folder}), then start it again")


@contextlib.contextmanager
def mlflow(host: str, port: int, artifacts: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """MLflow's server, which ends with its workers when the block ends, or this process in whatever way."""
    words = ["--host", host, "--port", str(port), "--serve-artifacts", "--artifacts-destination", str(artifacts.resolve())]
    words += ["--uvicorn-opts", "--no-access-log --log-level warning"]
    inherited = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "DATABASE")}
    environment = called(host) | inherited | environment
    server = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "mlflow", "server", *words],
        env=environment,
        start_new_session=True,
    )
    try:
        yield server
    finally:
        server.terminate()  # it ends its workers
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def called(host: str) -> dict[str, str]:
    """MLflow's setting with the names by which its server lets itself be called, against web pages that call it by theirs."""
    if is_loopback(host):
        return {}  # MLflow's own
    from mlflow.server.security_utils import get_default_allowed_hosts

    names = dict.fromkeys([host, socket.gethostname(), socket.getfqdn()])
    names = [*get_default_allowed_hosts(), *(f"{name}{port}" for name in names for port in ("", ":*"))]
    return {"MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(names)}


@contextlib.contextmanager
def only_server(folder: Path) -> Iterator[None]:
    """One server on a folder, on whatever machine: PostgreSQL itself looks for another one on this machine only."""
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another tracking server runs on {folder}: stop it, or name another folder with FOLDER=") from None
        yield


def must_be_free(host: str, port: int) -> None:
    try:
        if not 0 < port < 2**16:
            raise OverflowError("there is no such port")
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen()
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}, port {port}, can't be listened on ({error}): name another PORT=, or HOST=") from error


def must_answer(database: str) -> None:
    """Raises UserError where a database that someone else runs can't be used; MLflow would try again for minutes."""
    from sqlalchemy import create_engine

    try:
        if not database.startswith("postgresql"):
            raise ValueError("it is no postgresql://...")
        create_engine(database, connect_args={"connect_timeout": 10}).connect().close()
    except Exception as error:  # SQLAlchemy's and libpq's own kinds
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"DATABASE can't be used ({reason}): mend it, or leave it away for a private PostgreSQL") from error


def answers(host: str, port: int) -> bool:
    try:
        with urllib.request.urlopen(f"{address_of('localhost' if host in ANY else host, port)}/health", timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def any_ended(servers: dict[str, subprocess.Popen]) -> str:
    """The name of a server that has ended, if one has."""
    return next((name for name, server in servers.items() if server.poll() is not None), "")


def tell(host: str, port: int) -> None:
    """What a user needs."""
    print(f"export MLFLOW_TRACKING_URI={address_of(socket.gethostname() if host in ANY else host, port)}", flush=True)
    if not is_loopback(host):
        print(f"tracking server: anyone who reaches port {port} of this machine can read and write all of it", file=sys.stderr)


def address_of(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def serve_until_stopped(host: str, port: int, folder: Path, database: str | None) -> None:
    """`serve`, until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        serve(host, port, folder, database)
