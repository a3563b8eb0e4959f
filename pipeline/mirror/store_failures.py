"""Say why MLflow's store can't be used, in words that name the cause, and what to do; no password is in them."""

import http
import os
import re

from pipeline.core.errors import UserError
from pipeline.core.redaction import redact
from pipeline.mirror.store_address import EMPTY, STORE, is_server, tracking_address

CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
ACCOUNT = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to those of your account"
RIGHTS = "ask its owner for the right to write, or use another account (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
START = "start the server, or unset MLFLOW_TRACKING_URI"
ADDRESS = "write MLFLOW_TRACKING_URI as http://host:5000, or unset it"
REFILLED = "it is filled again from the records"
NAME_REFUSED = (
    "it refuses this name of its machine (403 Forbidden)",
    "name it in MLFLOW_TRACKING_URI as the server's HOST= does, or start the server with that name",
)
# By the status of an HTTP answer: what it means, what to do
STATUSES = {
    401: ("it asks who you are", ACCOUNT),
    403: ("it refuses this to you", RIGHTS),
    404: ("no MLflow answers at this address", ADDRESS),
    407: ("the proxy asks who you are", "name your account in HTTP_PROXY and HTTPS_PROXY, or the server's host in NO_PROXY"),
    413: ("it takes no request of this size", "raise the limit of the proxy before the server"),
    429: ("it was asked too often", "wait, then run this again"),
    500: ("the server failed", "see its own log"),
    502: ("the proxy before it reaches no server", START),
    503: ("the server is not ready", START),
    504: ("the proxy before it had no answer from the server", START),
}
# By what the text of an error has in it, the first that is found counts: what it means, what to do. {0}: the text that was found
CAUSES = (
    (
        r"(?:Unable|Cannot) to connect to proxy|Cannot connect to proxy",
        "the proxy can't be reached",
        "mend HTTP_PROXY, or name the host in NO_PROXY",
    ),
    (
        r"not in a valid JSON format[^<]*<",
        "a web page answers there, and no MLflow",
        f"{ADDRESS}; a page to log in needs an account: {ACCOUNT}",
    ),
    (
        rf"Response: \{{|not in a valid JSON format|\bParseError: |{EMPTY}",
        "another program answers there, and no MLflow",
        ADDRESS,
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED[^)]*",
        "its certificate is not trusted: {0}",
        "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of its authority",
    ),
    (
        r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNEXPECTED_EOF",
        "it does not speak TLS: {0}",
        "write http:// in MLFLOW_TRACKING_URI, or check the port",
    ),
    (r"HTTP request (?:was sent )?to (?:an )?HTTPS", "it speaks https", "write https:// in MLFLOW_TRACKING_URI"),
    (
        r"Name or service not known|[Nn]ame resolution|nodename nor servname|No address associated|could not translate host name",
        "no machine of this name is known",
        "check the name in MLFLOW_TRACKING_URI, or unset it",
    ),
    (
        r"No route to host|Network is unreachable|Host is down",
        "its machine can't be reached: {0}",
        "check the network, or unset MLFLOW_TRACKING_URI",
    ),
    (r"[Cc]onnection refused", "connection refused: nothing listens there", START),
    (r"[Tt]imed out|timeout e", "no answer in time: timed out", f"{START}; MLFLOW_HTTP_REQUEST_TIMEOUT=60 waits longer"),
    (
        r"Connection reset|RemoteDisconnected|Connection aborted|IncompleteRead",
        "it closed the connection without an answer",
        "check that http:// or https:// is right, and the server's log",
    ),
    (r"BadStatusLine", "another program answers there, and no MLflow", ADDRESS),
    (r"found version (\w+), but expected (\w+)", "another version of MLflow made it: {0}", "{upgrade}"),
    (r"database or disk is full|No space left on device", "its disk is full", "make room there"),
    (r"readonly database|Read-only file system", "it is read-only", "check the permissions of the file and of its folder"),
    (r"disk I/O error", "its disk fails or has no room: {0}", "check the disk, and make room there"),
    (r"unable to open database file", "the file can't be opened or made", "check its path and permissions"),
    (r"database (?:table )?is locked", "it is locked", "wait for the other program that uses it, or stop that"),
    (r"file is not a database|disk image is malformed|no such (?:table|column)[^\n\[]*", "it is damaged: {0}", "{delete}"),
    (
        r"password authentication failed",
        "the database refuses the user or the password",
        "mend them; a password may stand in ~/.pgpass",
    ),
    (r"no password supplied", "the database asks for a password", "write it to ~/.pgpass"),
    (r'(?:database|role) "[^"]*" does not exist', "{0}", "create it, or name another one"),
    (
        r"No module named '([\w.]+)'",
        "package {0} is not installed",
        ".venv/bin/python -m pip install the package, or name another store",
    ),
    (r"filesystem tracking backend", "MLflow keeps no runs in a folder any more", ADDRESS),
    (
        r"Databricks credential configuration failed",
        "MLflow finds no account of Databricks here",
        f"make one with databricks auth login, or {ADDRESS}",
    ),
    (r"unsupported URI|Detected Unity Catalog tracking URI", "it is no address that MLflow knows", ADDRESS),
    (
        r"Invalid IPv6 URL|Invalid url|Failed to parse|Could not parse SQLAlchemy URL|No host supplied|invalid literal for int|InvalidSchema|LocationParseError",
        "it is no valid address",
        ADDRESS,
    ),
    (
        r"must be in the '?active|Run with id=\w+ not found|RESOURCE_DOES_NOT_EXIST",
        "a run or its experiment was deleted in MLflow meanwhile",
        "run this again: what is missing is written anew",
    ),
    (r"Permission denied", "permission denied", "check the permissions of its files"),
)


def store_failure(error: Exception) -> UserError:
    """Make the UserError of a store that failed, with its remedy; nothing is lost, as it is filled from the records."""
    if isinstance(error, UserError):
        return error
    reason, remedy = explain(error)
    return UserError(redact(f"MLflow's store {where()} can't be used ({reason}): {remedy}"))


def restore_failure(experiment, error: Exception) -> UserError:
    """Make the UserError of an experiment that was deleted in MLflow and can't be restored, with the command that does."""
    command = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
    return UserError(
        redact(
            f"MLflow's experiment {experiment.name} is deleted and can't be restored ({explain(error)[0]}): let its owner run {command}"
        )
    )


def live_failure(error: Exception) -> str:
    """Say in a line that a training could not be told to MLflow, and goes on."""
    if isinstance(error, UserError):
        return redact(f"{error}; the record goes on")
    verb = "refuses this" if status_of(error) in (401, 403, 407) else "is away"
    reason, remedy = explain(error)
    return redact(f"MLflow {verb} ({reason}): {remedy}; the record goes on")


def where() -> str:
    """Name the store: the address of a server or database, or the file."""
    return tracking_address() or str(STORE)


def explain(error: Exception) -> tuple[str, str]:
    """Say why a store failed and what to do: by the status of an HTTP answer, else by what the errors of the chain say."""
    chain = errors_of(error)
    text = "\n".join(f"{type(link).__name__}: {link}" for link in chain)
    if "Invalid Host header" in text:
        return NAME_REFUSED
    if (status := status_of(error)) and status != 400:
        return explain_status(status)
    for pattern, reason, remedy in CAUSES:
        if match := re.search(pattern, text):
            found = match[1] if match.lastindex == 1 else match[0]
            return reason.format(found.strip()) + path_of(chain), remedy.format(upgrade=upgrade(), delete=delete())
    if status:
        return explain_status(status)
    own_words = str(chain[-1] if "failed with exception" in str(error) else error).strip()
    line = re.sub(r"\s+", " ", own_words) or type(error).__name__
    shortened = line if len(line) <= 600 else f"{line[:300]} ... {line[-300:]}"
    return f"{type(error).__name__}: {shortened}", START if is_server() else delete()


def explain_status(status: int) -> tuple[str, str]:
    """Say what the status of an HTTP answer means and what to do."""
    try:
        name = f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    reason, remedy = STATUSES.get(status, ("it answers as no MLflow does", ADDRESS))
    if status == 401 and any(os.environ.get(name) for name in CREDENTIALS):
        reason = "it does not accept the user and password, or the token"
    return f"{name}: {reason}", remedy


def status_of(error: Exception) -> int | None:
    """Find the status of the HTTP answer that an error is about; None where there was none, or MLflow itself explains it."""
    text = "\n".join(str(link) for link in errors_of(error))
    if match := re.search(
        r"failed with error code (\d{3}) |too many (\d{3}) error responses|Tunnel connection failed: (\d{3})", text
    ):
        return int(next(filter(None, match.groups())))
    answer = getattr(error, "json", None)
    if isinstance(answer, dict) and is_server():
        status = error.get_http_status_code() if "error_code" in answer else asked_again()
        return status if status in (401, 403, 429, 503) or ("error_code" not in answer and status != 200) else None
    responses = (getattr(link, "response", None) for link in errors_of(error))
    return next((response.status_code for response in responses if response is not None), None)


def asked_again() -> int | None:
    """Ask the server once more for the status of its answer, which MLflow drops where the answer is JSON of another program."""
    from mlflow.tracking._tracking_service.utils import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        endpoint = "/api/2.0/mlflow/experiments/search"
        answer = http_request(
            get_default_host_creds(where()), endpoint, "POST", max_retries=0, raise_on_status=False, json={"max_results": 1}
        )
        return answer.status_code
    except Exception:  # it has just answered, and now it does not
        return None


def errors_of(error: BaseException) -> list[BaseException]:
    """List an error and all that it came from, the first cause last."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        inner = [getattr(error, name, None) for name in ("reason", "orig")]
        error = error.__cause__ or error.__context__ or next((link for link in inner if isinstance(link, BaseException)), None)
    return chain


def path_of(chain: list[BaseException]) -> str:
    """Name the file of the first error that has one, as the cause's text may lack it."""
    return next((f", {link.filename}" for link in chain if isinstance(link, OSError) and isinstance(link.filename, str)), "")


def delete() -> str:
    """Say how a damaged store is mended."""
    return "mend it, or name another store" if tracking_address() else f"delete {STORE} if it is damaged, {REFILLED}"


def upgrade() -> str:
    """Say how a store of another version of MLflow is mended."""
    if not tracking_address():
        return f"delete it, {REFILLED}, or keep it with .venv/bin/mlflow db upgrade sqlite:///{STORE}"
    return "install that version, or save the database and run .venv/bin/mlflow db upgrade on it"
