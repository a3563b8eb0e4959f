"""Every way in which a store fails is one line that names the cause and what to do, and has no password in it.

Real stores and a small HTTP server that answers as MLflow's, a proxy before it or another program do; a certificate of its own.
"""

import contextlib
import os
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from answering_server import answering
from one_run import entries, mirror, trainings

from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.mirror import mlflow_store
from pipeline.mirror.store_failures import live_failure, store_failure

SECRET = "hush-hush"
USER = f"anna:{SECRET}@"


@pytest.fixture
def asked(store, monkeypatch, capfd):
    """Asks the store of an address for its experiment: the lines of a command and of a training, without a secret."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
    ):
        monkeypatch.delenv(name, raising=False)

    def ask(address, **environment):
        for name, value in ({"MLFLOW_TRACKING_URI": address} | environment).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(Exception) as failed:
            mlflow_store.experiment_of(mlflow_store.open_client(), "tiny")
        line, live = str(store_failure(failed.value)), live_failure(failed.value)
        printed = "".join(capfd.readouterr())
        assert not any(SECRET in text or "\n" in text for text in (line, live)) and not printed, printed
        assert line.startswith("MLflow's store ") and live.endswith("; the record goes on") and len(line) < 1000
        return line

    return ask


JSON, PERMISSION = "application/json", '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}'
ANSWERS = (
    (401, "You are not authenticated.", "text/plain", "401 Unauthorized: it asks who you are", "MLFLOW_TRACKING_TOKEN"),
    (401, '{"message": "Unauthorized"}', JSON, "401 Unauthorized: it asks who you are", "MLFLOW_TRACKING_USERNAME"),
    (403, "<html>no</html>", "text/html", "403 Forbidden", "ask its owner"),
    (403, PERMISSION, JSON, "403 Forbidden", "ask its owner"),
    (
        403,
        "Invalid Host header - possible DNS rebinding attack detected",
        "text/plain",
        "refuses this name of its machine",
        "HOST=",
    ),
    (404, "<html>" + "x" * 9999, "text/html", "404 Not Found: no MLflow answers", "http://host:5000"),
    (404, '{"detail": "Not Found"}', JSON, "404 Not Found", "http://host:5000"),
    (200, "<html>please log in" + "x" * 9999, "text/html", "a web page answers there, and no MLflow", "http://host:5000"),
    *(
        (200, body, kind, "(another program answers there, and no MLflow)", "http://host:5000")
        for body in (
            "",
            "ok",
            "{}",
            "[]",
            "null",
            '"ok"',
            '{"status": "ok"}',
            '{"experiment": 5}',
            '{"experiment": {"name": "x"}}',
        )
        for kind in ("text/plain", JSON)
    ),
    (400, "The plain HTTP request was sent to HTTPS port", "text/html", "it speaks https", "write https://"),
    (429, "", "text/plain", "429 Too Many Requests", "wait"),
    (500, "oops", "text/plain", "500 Internal Server Error", "see its own log"),
    (502, "<html>Bad Gateway</html>", "text/html", "502 Bad Gateway", "start the server"),
    (503, "", "text/plain", "503 Service Unavailable", "start the server"),
    (504, "", "text/plain", "504 Gateway Timeout", "start the server"),
    (418, "", "text/plain", "418", "http://host:5000"),
)


@pytest.mark.parametrize("status, body, kind, cause, remedy", ANSWERS)
def test_an_answer_that_refuses_is_named_as_what_it_is(asked, status, body, kind, cause, remedy):
    with answering(status, body, kind) as host:
        line = asked(f"http://{USER}{host}")
    assert cause in line and remedy in line and f"http://{host} " in line


def test_credentials_that_are_refused_are_told_from_those_that_miss(asked):
    with answering(401, "no", "text/plain") as host:
        line = asked(f"http://{host}", MLFLOW_TRACKING_USERNAME="anna", MLFLOW_TRACKING_PASSWORD=SECRET)
    assert "401 Unauthorized: it does not accept the user and password" in line


@pytest.mark.parametrize(
    "address, cause, remedy",
    (
        (f"http://{USER}127.0.0.1:1", "connection refused", "start the server, or unset MLFLOW_TRACKING_URI"),
        (f"http://127.0.0.1:1/?token={SECRET}", "connection refused", "start the server"),
        (f"http://{USER}no.such.host.invalid:5000", "no machine of this name is known", "check the name"),
        (f"http://{USER}[bad", "no valid address", "http://host:5000"),
        (f"http://{USER}host:99999", "no valid address", "http://host:5000"),
        ("localhost:5000", "no address that MLflow knows", "http://host:5000"),
        ("databricks", "no account of Databricks", "databricks auth login"),
        ("databricks-uc", "no address that MLflow knows", "http://host:5000"),
        (f"foo://{USER}host", "no address that MLflow knows", "http://host:5000"),
        ("./mlruns", "MLflow keeps no runs in a folder any more", "http://host:5000"),
        (f"postgresql://{USER}127.0.0.1:1/db", "connection refused", "start the server"),
        (f"postgresql://anna:a/{SECRET}@127.0.0.1:1/db", "connection refused", "start the server"),
        (f"postgresql://{USER}no.such.host.invalid/db", "no machine of this name is known", "check the name"),
        (f"postgresql://{USER}host:port/db", "no valid address", "http://host:5000"),
        (f"mysql://{USER}127.0.0.1/db", "package MySQLdb is not installed", "pip install"),
        ("sqlite:////proc/x.db", "the file can't be opened", "check its path and permissions"),
    ),
)
def test_an_address_that_leads_nowhere_is_named_at_once(asked, address, cause, remedy):
    line = asked(address)
    assert cause in line and remedy in line


def test_a_server_that_never_answers_and_proxies_are_named(asked):
    with answering(200, silent=True) as host:
        assert "no answer in time" in asked(f"http://{USER}{host}")
    with answering(407, "who are you") as host:
        proxy = {"http_proxy": f"http://anna:{SECRET}@{host}", "https_proxy": f"http://anna:{SECRET}@{host}"}
        for kind in ("http", "https"):
            assert "407 Proxy Authentication Required" in asked(f"{kind}://{USER}some.host:5000", **proxy)
    assert "the proxy can't be reached" in asked(f"http://{USER}some.host:5000", http_proxy=f"http://{USER}127.0.0.1:1")


def test_a_certificate_that_nobody_signed_and_a_server_without_tls_are_named(asked, tmp_path):
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(200, tls=context) as host:
        line = asked(f"https://{USER}{host}")
        assert "its certificate is not trusted" in line and "MLFLOW_TRACKING_SERVER_CERT_PATH" in line
    with answering(200) as host:
        assert "it does not speak TLS" in asked(f"https://{USER}{host}")


def test_a_sqlite_store_that_is_damaged_or_of_another_version_is_named_with_what_to_do(asked, store, monkeypatch):
    mlflow_store.open_client()
    path = mlflow_store.STORE
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = 'abcdefabcdef'")
    other = path.with_name("other_version.db")
    path.rename(other)
    line = asked(f"sqlite:///{other}")
    assert "another version of MLflow made it: found version abcdefabcdef" in line and "mlflow db upgrade" in line
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr(mlflow_store, "STORE", other)
    with pytest.raises(Exception) as failed:
        mlflow_store.open_client().search_experiments()
    assert "delete it, it is filled again from the records, or keep it with" in str(store_failure(failed.value))
    other.write_bytes(b"x" * 5000)
    with pytest.raises(Exception) as failed:
        mlflow_store.open_client()
    assert "is damaged: file is not a database): delete results/mlflow.db" in str(store_failure(failed.value))


def test_a_store_that_another_program_holds_is_named(store):
    mirror().push(entries(1))
    with contextlib.closing(sqlite3.connect(mlflow_store.STORE, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(Exception) as failed:
            mirror().push(entries(2))
    assert "(it is locked): wait for the other program that uses it" in str(store_failure(failed.value))


ON_DISK = """
mount -t tmpfs -o size=3m tmpfs "$PLACE" || exit 99
cd "$PLACE" && mkdir -p results && "$PYTHON" -c "$CODE" full; code=$?
mount -o remount,size=9m,ro "$PLACE" && "$PYTHON" -c "$CODE" read_only
"""
ON_DISK_CODE = """
from one_run import entries, mirror
from pipeline.mirror.store_failures import store_failure
training = mirror()
try:
    for epochs in range(1, 9999):
        training.push(entries(1) + [entries(1)[1] | {"epoch": epochs, "metrics": {"x": [float(x) for x in range(3000)]}}])
except Exception as error:
    print(store_failure(error))
"""


def test_a_store_on_a_disk_that_is_full_or_read_only_is_named(tmp_path):
    if subprocess.run(["unshare", "-m", "-r", "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here (unshare -m -r)")
    path = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    words = {"PLACE": str(tmp_path), "PYTHON": sys.executable, "CODE": ON_DISK_CODE, "PYTHONPATH": path}
    run = subprocess.run(["unshare", "-m", "-r", "sh", "-c", ON_DISK], env=os.environ | words, capture_output=True, text=True)
    full, read_only = run.stdout.splitlines()
    assert "(its disk is full" in full and "make room there" in full
    assert "(it is read-only" in read_only and "check the permissions" in read_only


def test_a_failure_that_nobody_foresaw_is_told_from_its_beginning_to_its_end(store):
    line = str(store_failure(RuntimeError(f"this is new, http://{USER}host, " + "x" * 5000 + " and this is the cause")))
    assert "RuntimeError: this is new, http://host, " in line and "and this is the cause" in line and len(line) < 1000
    assert "(ValueError: ValueError)" in str(store_failure(ValueError()))
    assert store_failure(mistake := UserError("as it is")) is mistake


def test_a_deleted_experiment_is_restored_with_its_runs_and_a_line_says_so(store, capfd):
    mirror().push(entries(2))
    client = mlflow_store.open_client()
    experiment = client.get_experiment_by_name("at-snn/tiny").experiment_id
    client.delete_experiment(experiment)
    mirror().push(entries(3))
    assert capfd.readouterr().err == "tracking: experiment at-snn/tiny had been deleted in MLflow, and is restored\n"
    (run,) = trainings(client)
    assert run.info.experiment_id == experiment
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]


def test_an_experiment_that_may_not_be_restored_is_named_with_the_command(store, capfd):
    mirror().push(entries(1))
    client = mlflow_store.open_client()
    experiment = client.get_experiment_by_name("at-snn/tiny").experiment_id
    client.delete_experiment(experiment)
    with sqlite3.connect(mlflow_store.STORE) as database:  # as a server that grants no more than reading
        database.execute(
            "create trigger refuse before update on experiments begin select raise(abort, 'attempt to write a readonly database'); end"
        )
    with pytest.raises(
        UserError, match=f"at-snn/tiny is deleted .*read-only.* mlflow experiments restore --experiment-id {experiment}$"
    ):
        mirror().push(entries(1))


def test_an_experiment_that_is_gone_for_good_is_made_anew(store):
    mirror().push(entries(1))
    client = mlflow_store.open_client()
    client.delete_experiment(client.get_experiment_by_name("at-snn/tiny").experiment_id)
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": f"sqlite:///{mlflow_store.STORE}"}
    words = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", f"sqlite:///{mlflow_store.STORE}"]
    subprocess.run(words, check=True, capture_output=True, env=environment)
    mirror().push(entries(2))
    assert len(trainings(client)) == 1


def test_a_run_deleted_while_it_is_written_is_named(store):
    first, client = mirror(), mlflow_store.open_client()
    first.push(entries(1))
    client.delete_run(first.mlflow_run.info.run_id)
    with pytest.raises(Exception) as failed:
        first.push(entries(2))
    assert "was deleted in MLflow meanwhile): run this again" in str(store_failure(failed.value))


def test_a_place_of_artifacts_that_cannot_be_written_is_named(store):
    (mlflow_store.ARTIFACTS).parent.mkdir(exist_ok=True)
    mlflow_store.ARTIFACTS.touch()  # a file, where a folder should be
    with pytest.raises(Exception) as failed:
        mirror().push([*entries(1), {"event": "channel_0", "time": 1002.0, "epoch": 1, "histogram": {"blocks": [[1]]}}])
    assert str(mlflow_store.ARTIFACTS) in str(store_failure(failed.value))
