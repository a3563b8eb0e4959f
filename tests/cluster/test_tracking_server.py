"""The tracking server as `make tracking-server` runs it, on a real PostgreSQL, and as many real processes as a cluster's queue starts."""

import collections
import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import debian
import many_trainings
import psycopg2
import pytest
from server import Server, children, commands, free_port, runs, wait_for

from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.mirror import checkout, mlflow_run, mlflow_store, postgres
from pipeline.mirror import server as tracking_server
from pipeline.mirror.rounding import rounded

JOBS, EPOCHS = 16, 20


@pytest.fixture(scope="module")
def postgresql():
    """PostgreSQL's programs, installed where that is allowed."""
    if missing():
        debian.install("postgresql")
    if reason := missing():
        pytest.skip(f"NOT TESTED: the tracking server. {reason}")


def missing():
    try:
        postgres.programs_for(Path("/nowhere/data"))
    except UserError as error:
        return str(error)


@pytest.fixture(scope="module")
def folder(postgresql):
    """Where PostgreSQL's own user may go, who may not go to a folder of pytest's if root runs it."""
    with tempfile.TemporaryDirectory(prefix="at-snn-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def server(folder):
    running = Server(folder / "own", HOST="0.0.0.0").start()
    yield running
    started = children(running.process.pid)
    os.kill(started[0], signal.SIGKILL)  # the process that runs the others: they end all the same
    wait_for(lambda: not any(map(runs, started)))
    running.process.wait()


@pytest.fixture
def client(server, folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setattr(checkout, "FILE", folder / ".checkout")
    return mlflow_store.open_client()


def begin(folder, address, *words):
    folder.mkdir()
    environment = os.environ | {"MLFLOW_TRACKING_URI": address}
    command = [sys.executable, str(ROOT / "tests/cluster/many_trainings.py"), str(folder), str(JOBS), str(EPOCHS), *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def records(folder):
    return {p.stem: [json.loads(line) for line in p.read_text().splitlines()] for p in folder.glob("run-*.jsonl")}


def assert_that_all_is_there_once(server, client, folder):
    """Each record has one run, with its parameters, status, file, and every metric at every step, nested under one campaign."""
    experiment = mlflow_store.experiment_of(client, "tiny")
    stored = collections.defaultdict(list)
    with contextlib.closing(psycopg2.connect(**server.database())) as connection, connection.cursor() as cursor:
        cursor.execute("select run_uuid, key, step, value, timestamp from metrics")
        for run, *metric in cursor:
            stored[run].append(tuple(metric))
    (campaign,) = client.search_runs([experiment], "tags.kind = 'campaign'")
    told = records(folder)
    assert len(told) == JOBS
    for name, entries in told.items():
        (run,) = [
            r for r in mlflow_store.runs_of(client, experiment, name) if r.info.start_time == mlflow_store.started_at(entries)
        ]
        number = name.removeprefix("run-")
        assert run.data.params == {key: str(value) for key, value in (many_trainings.PARAMS | {"seed": number}).items()}
        assert run.data.tags[mlflow_store.PARENT_TAG] == campaign.info.run_id and len(run.inputs.dataset_inputs) == 1
        ended = entries[-1]["event"] == "end"
        assert run.info.status == ("FINISHED" if ended else "RUNNING")
        files = [file.path for file in client.list_artifacts(run.info.run_id, "channel_0")]
        assert files == ([f"channel_0/epoch_{EPOCHS}.json"] if ended else [])
        in_record = [
            (key, entry["epoch"], value, int(entry["time"] * 1000))
            for entry in entries
            for key, value in rounded(entry.get("metrics", {})).items()
        ]
        assert len(in_record) == 27 * EPOCHS and sorted(stored[run.info.run_id]) == sorted(in_record), name
        assert run.data.metrics == {key: value for key, epoch, value, _ in in_record if epoch == EPOCHS}


def test_sixteen_trainings_on_machines_of_their_own_that_begin_at_once_are_there_once_under_one_campaign(server, client, folder):
    running = begin(folder / "at_once", server.address)
    said = running.communicate()[1]
    assert running.returncode == 0 and not said, said
    assert_that_all_is_there_once(server, client, folder / "at_once")


def test_a_server_that_is_away_in_mid_training_and_comes_back_lacks_nothing_and_doubles_nothing(server, client, folder):
    place = folder / "outage"
    running = begin(place, server.address, "outage")
    halfway = EPOCHS // 2 - 1
    wait_for(lambda: [len(entries) for entries in records(place).values()] == [halfway + 1] * JOBS)
    server.stop()
    (place / "away").touch()
    ends = {f"run-{number}" for number in range(0, JOBS, 3)}
    wait_for(lambda: all(len(entries) > halfway + 3 for entries in records(place).values()))
    wait_for(lambda: {name for name, entries in records(place).items() if entries[-1]["event"] == "end"} == ends)
    server.start()
    (place / "back").touch()
    said = running.communicate()[1]
    assert running.returncode == 0 and said.count("MLflow is away") >= JOBS, said
    experiment = mlflow_store.experiment_of(client, "tiny")
    for name in ends:  # they ended while it was away: what fills it then is the record, as where tables are made
        entries, number = records(place)[name], name.removeprefix("run-")
        (run,) = [
            r for r in mlflow_store.runs_of(client, experiment, name) if r.info.start_time == mlflow_store.started_at(entries)
        ]
        assert len(client.get_metric_history(run.info.run_id, "train_loss")) == halfway
        params = many_trainings.PARAMS | {"seed": number}
        mlflow_run.Mirror("tiny", name, f"a run, seed {number}", params, {"kind": "training"}, many_trainings.DATASET).push(
            entries
        )
    assert_that_all_is_there_once(server, client, place)


def test_campaigns_that_were_created_twice_become_one(server, client):
    experiment = mlflow_store.experiment_of(client, "twice")
    ours = {mlflow_store.CHECKOUT_TAG: checkout.checkout_id()}
    tags = {mlflow_store.RUN_TAG: "twice", "kind": "campaign"} | ours
    late, early = (client.create_run(experiment, start, tags, "campaign twice").info.run_id for start in (2000, 1000))
    run = mlflow_run.Mirror("twice", "run-1", "a run", {}, {"kind": "training"}, many_trainings.DATASET)
    child = client.create_run(
        experiment, 5000, {mlflow_store.RUN_TAG: "run-2", mlflow_store.PARENT_TAG: late} | ours, "another"
    ).info.run_id
    run.push([{"event": "start", "time": 1.0}])
    assert [r.info.run_id for r in mlflow_store.runs_of(client, experiment, "twice")] == [early]
    assert client.get_run(child).data.tags[mlflow_store.PARENT_TAG] == early == run.mlflow_run.data.tags[mlflow_store.PARENT_TAG]


def test_a_run_that_was_created_twice_becomes_one(server, client):
    experiment = mlflow_store.experiment_of(client, "doubled")
    tags = {mlflow_store.RUN_TAG: "run-1", mlflow_store.CHECKOUT_TAG: checkout.checkout_id()}
    for _ in range(2):  # a request whose answer was lost is sent again
        client.create_run(experiment, 1000, tags, "a run")
    params = {"gamma": 5}
    mlflow_run.Mirror("doubled", "run-1", "a run", params, {}, many_trainings.DATASET).push([{"event": "end", "time": 1.0}])
    (run,) = mlflow_store.runs_of(client, experiment, "run-1")
    assert run.info.status == "FINISHED" and run.data.params == {"gamma": "5"}


def test_it_answers_to_the_names_of_its_machine_and_not_to_those_of_others(server):
    def asked(name):
        there = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        with contextlib.closing(there):
            there.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": f"{name}:{server.port}"})
            return there.getresponse().status

    assert [asked(name) for name in ("localhost", socket.gethostname(), "10.1.2.3", "elsewhere.example")] == [200, 200, 200, 403]


def test_who_opens_it_to_a_network_is_told_what_that_means_and_what_jobs_need(server):
    said = server.log.read_text().splitlines()
    assert f"export MLFLOW_TRACKING_URI=http://{socket.gethostname()}:{server.port}" in said
    assert f"tracking server: anyone who reaches port {server.port} of this machine can read and write all of it" in said


def test_its_database_listens_to_no_network_and_asks_for_a_password_that_only_its_owner_can_read(server, folder):
    place = folder / "own" / "postgres"
    password = place / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600 and stat.S_IMODE(place.stat().st_mode) == 0o700
    with contextlib.closing(psycopg2.connect(**server.database())) as connection:
        with connection.cursor() as cursor:
            cursor.execute("show listen_addresses")
            assert cursor.fetchone() == ("",)
            cursor.execute("select distinct auth_method from pg_hba_file_rules")
            assert cursor.fetchall() == [("scram-sha-256",)]
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(**server.database() | {"password": "guessed"})
    assert not any(password.read_text().strip() in line for line in commands(server.process.pid))


def test_a_database_that_someone_else_runs_is_used(folder):
    with postgres.cluster(folder / "theirs") as (_, environment):
        where, password = environment["PGHOST"], environment["PGPASSWORD"]
        address = f"postgresql://mlflow:{password}@/mlflow?host={where}"
        running = Server(folder / "other", DATABASE=address).start()
        assert not any(password in line for line in commands(running.process.pid))
        running.stop(signal.SIGINT)
        assert password not in running.log.read_text()
        with contextlib.closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
            cursor.execute("select name from experiments")
            assert cursor.fetchall() == [("Default",)]
        assert not (folder / "other" / "postgres").exists()
        with pytest.raises(UserError, match="^DATABASE can't be used .*password authentication failed.*leave it away"):
            tracking_server.must_answer(address.replace(password, "wrong"))
        assert no_password_is_told(address.replace(password, "hush-hush"), "hush-hush")
    assert no_password_is_told(address, password)


@pytest.mark.parametrize(
    "address", ("postgresql://anna:hush-hush@host:port/db", "mysql://anna:hush-hush@host/db", "anna:hush-hush@host")
)
def test_a_database_whose_address_is_none_is_refused_without_its_password(address):
    assert no_password_is_told(address, "hush-hush")


def no_password_is_told(address, password):
    with pytest.raises(UserError, match="^DATABASE can't be used ") as refusal:
        tracking_server.must_answer(address)
    return password not in str(refusal.value)


def refused(*words):
    run = subprocess.run(
        [sys.executable, "-m", "pipeline.tracking_server", *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    lines = run.stderr.splitlines()
    assert run.returncode == 2 and len(lines) == 1, run.stderr
    return lines[0].removeprefix("pipeline.tracking_server: error: ")


def test_a_port_a_host_or_a_folder_that_cannot_be_used_is_one_line(server, folder):
    assert f"port {server.port}, can't be listened on" in refused("--port", server.port)
    assert "no.such.host.invalid, port 5000, can't be listened on" in refused("--host", "no.such.host.invalid")
    assert refused("--port", free_port(), "--folder", folder / "own").startswith("another tracking server runs on")
    (folder / "file").touch()
    assert "check the path, its permissions" in refused("--port", free_port(), "--folder", folder / "file")


def test_a_cluster_that_is_damaged_or_of_another_version_is_one_line_that_says_what_to_do(folder):
    place = folder / "damaged" / "postgres"
    place.parent.mkdir()
    with postgres.cluster(place):
        pass
    control = place / "data/global/pg_control"
    control.write_bytes(control.read_bytes()[:100])
    words = ("--port", free_port(), "--folder", place.parent)
    assert "could not read file" in (said := refused(*words)) and "move it away" in said
    (place / "data/PG_VERSION").write_text("9\n")
    assert "was made by PostgreSQL 9" in (said := refused(*words)) and "apt-get install postgresql-9" in said
    (place / "data/PG_VERSION").unlink()
    assert "is no cluster of PostgreSQL" in refused(*words)


def test_where_postgresql_is_not_installed_one_line_says_how_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="^PostgreSQL's programs are missing: apt-get install postgresql .*DATABASE="):
        with postgres.cluster(tmp_path / "postgres"):
            pass


def test_what_a_server_of_which_all_at_once_was_killed_has_told_is_kept(folder):
    """PostgreSQL killed at any moment has what it had answered for; the files of its last life stop nobody."""
    with postgres.cluster(folder / "killed") as (running, environment):
        with contextlib.closing(connect(environment)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("create table kept as select 1 as number")
            connection.commit()
            running.kill()
    with postgres.cluster(folder / "killed") as (_, environment):
        with contextlib.closing(connect(environment)) as connection, connection.cursor() as cursor:
            cursor.execute("select number from kept")
            assert cursor.fetchall() == [(1,)]


def connect(environment):
    words = {"host": "PGHOST", "user": "PGUSER", "dbname": "PGDATABASE", "password": "PGPASSWORD"}
    return psycopg2.connect(**{word: environment[name] for word, name in words.items()})
