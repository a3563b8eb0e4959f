"""MLflow itself, on a sqlite store in a temporary folder."""

import shutil
import socket
import time

import pytest
from one_run import DATASET, entries, history, mirror, trainings

from pipeline.mirror import checkout, mlflow_run, mlflow_store
from pipeline.mirror.mlflow_run import Mirror


def test_what_is_pushed_again_is_not_doubled_and_gaps_are_filled(store):
    first = mirror()
    first.push(entries(2))
    first.push(entries(2))
    mirror().push([e for e in entries(5) if e.get("epoch") != 3])  # a new process that missed an epoch
    mirror().push(entries(5))
    assert sorted(history("loss")) == [(e, round(1 / e, 6), 1000_500 + 1000 * e) for e in range(1, 6)]
    assert [value for _, value, _ in history("tokens_2")] == [0.5] * 5


def test_the_end_of_a_record_ends_the_run(store):
    mirror().push([*entries(1), {"event": "end", "time": 1009.0}])
    client = mlflow_store.open_client()
    run = trainings(client)[0]
    assert run.info.status == "FINISHED" and run.info.end_time == 1009_000 and run.info.start_time == 1000_000
    assert run.data.params == {"gamma": "5"} and run.data.tags[mlflow_store.RUN_TAG] == "run-1"


def test_a_failure_and_what_is_doubtful_are_tags_until_they_are_mended(store):
    first = mirror()
    first.push([*entries(1)[:-1], entries(1)[-1] | {"warnings": ["blocks.0.mlp.hidden never spikes"]}])
    assert trainings(mlflow_store.open_client())[0].data.tags["warnings"] == "blocks.0.mlp.hidden never spikes"
    first.push([*entries(1), {"event": "failed", "time": 1003.0, "reason": "the loss is nan"}])
    (run,) = trainings(mlflow_store.open_client())
    assert run.info.status == "FAILED" and run.data.tags["failed"] == "the loss is nan"
    mirror().push(entries(2))
    (run,) = trainings(mlflow_store.open_client())
    assert run.info.status == "RUNNING" and not run.data.tags["failed"]


def test_a_run_whose_process_was_killed_before_it_had_parameters_gets_them(store, monkeypatch):
    client = mlflow_store.open_client()
    experiment = mlflow_store.experiment_of(client, "tiny")
    client.create_run(experiment, 1000_000, {mlflow_store.RUN_TAG: "run-1", "checkout": "1", "kind": "training"}, "a run")
    mirror().push(entries(1))
    (run,) = trainings(client)
    assert run.data.params == {"gamma": "5"}


def test_a_run_that_was_made_anew_does_not_mix_with_the_earlier_attempt(store):
    mirror().push(entries(2))
    anew = mirror()
    anew.push([{**entry, "time": entry["time"] + 500} for entry in entries(1)])
    client = mlflow_store.open_client()
    assert len(trainings(client)) == 2
    found = client.get_metric_history(anew.mlflow_run.info.run_id, "loss")
    assert [(m.step, m.value, m.timestamp) for m in found] == [(1, 1.0, 1501_500)]


def test_a_histogram_is_an_artifact(store):
    mirror().push([*entries(1), {"event": "channel_0", "time": 1002.0, "epoch": 1, "histogram": {"blocks": [[1, 2]]}}])
    client = mlflow_store.open_client()
    run = trainings(client)[0]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "channel_0")] == ["channel_0/epoch_1.json"]


def test_runs_stand_under_one_campaign_and_name_their_data(store):
    mirror().push(entries(1))
    other = Mirror("tiny", "run-2", "another", {}, {"kind": "training"}, DATASET)
    other.push(entries(1))
    client = mlflow_store.open_client()
    parent = client.search_runs([mlflow_store.experiment_of(client, "tiny")], "tags.kind = 'campaign'")
    assert [run.info.run_name for run in parent] == ["campaign tiny"]
    assert {run.data.tags["mlflow.parentRunId"] for run in trainings(client)} == {parent[0].info.run_id}
    assert [run.inputs.dataset_inputs[0].dataset.digest for run in trainings(client)] == ["01234567"] * 2


def test_tags_that_changed_are_brought_up_to_date(store):
    mirror().push(entries(1))
    anew = mirror()
    anew.tags = {"kind": "training", "table1": "a row"}
    anew.push(entries(1))
    client = mlflow_store.open_client()
    assert [run.data.tags["table1"] for run in trainings(client)] == ["a row"]


def test_a_lost_server_stops_nothing_and_is_not_asked_again_at_once(store, monkeypatch, capfd):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed.getsockname()[1]}")
    away = mirror()
    started = time.monotonic()
    for _ in range(20):
        away.live(entries(3))
    assert time.monotonic() - started < 30
    assert capfd.readouterr().err.count("MLflow is away") == 1


def test_the_end_of_a_training_is_told_to_a_server_that_was_away_just_before(store, monkeypatch, capfd):
    away = mirror()
    with monkeypatch.context() as outage, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        outage.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed.getsockname()[1]}")
        away.live(entries(2))
    away.live(entries(3))
    assert not mlflow_store.STORE.exists() and capfd.readouterr().err.count("MLflow is away") == 1
    away.live([*entries(3), {"event": "end", "time": 1009.0}])
    assert [step for step, _, _ in history("loss")] == [1, 2, 3]
    assert trainings(mlflow_store.open_client())[0].info.status == "FINISHED"


def test_a_store_that_lost_a_run_in_mid_training_gets_all_of_it_again(store, monkeypatch, capfd):
    first, client = mirror(), mlflow_store.open_client()
    first.live(entries(2))
    client.delete_run(first.mlflow_run.info.run_id)
    monkeypatch.setattr(mlflow_run, "RETRY_SECONDS", 0)
    first.live(entries(3))
    assert capfd.readouterr().err.count("MLflow is away") == 1
    first.live(entries(4))
    assert [step for step, _, _ in history("loss")] == [1, 2, 3, 4]


def test_trainings_of_a_cluster_leave_the_sqlite_store_alone_and_say_so_once_and_tables_fill_it(store, monkeypatch, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    training = mirror()
    for last in range(3):
        training.live(entries(last))
    training.live([*entries(2), {"event": "end", "time": 1009.0}])
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "set MLFLOW_TRACKING_URI to watch runs live" in said and not mlflow_store.STORE.exists()
    mirror().push([*entries(2), {"event": "end", "time": 1009.0}])
    assert [step for step, _, _ in history("loss")] == [1, 2]


def test_trainings_of_a_cluster_write_live_to_the_server_that_is_named(store, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'named.db'}")
    mirror().live(entries(2))
    assert [step for step, _, _ in history("loss")] == [1, 2] and "tracking" not in capfd.readouterr().err
    assert not mlflow_store.STORE.exists()


@pytest.fixture
def shared(store, empty_store, tmp_path, monkeypatch):
    """A store that several checkouts use."""
    shutil.copy(empty_store, tmp_path / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shared.db'}")
    monkeypatch.chdir(tmp_path)  # a database has its artifacts where it is first used


def test_two_checkouts_with_the_same_record_have_runs_and_campaigns_of_their_own(shared, tmp_path, monkeypatch):
    """As two clones of a repository with published records; each finds its own again."""
    pushed = {}
    for name in ("one", "other", "one", "other"):
        monkeypatch.setattr(checkout, "FILE", tmp_path / name / ".checkout")
        ours = mirror()
        ours.push(entries(3 if name in pushed else 2))
        assert pushed.setdefault(name, ours.mlflow_run.info.run_id) == ours.mlflow_run.info.run_id
    client = mlflow_store.open_client()
    runs = {run.info.run_id: run.data.tags for run in trainings(client)}
    assert set(runs) == set(pushed.values()) and len(runs) == 2
    assert len({tags[mlflow_store.CHECKOUT_TAG] for tags in runs.values()}) == 2
    campaigns = client.search_runs([mlflow_store.experiment_of(client, "tiny")], "tags.kind = 'campaign'")
    assert {tags[mlflow_store.PARENT_TAG] for tags in runs.values()} == {run.info.run_id for run in campaigns}
    assert len(campaigns) == 2
    for run in runs:
        assert [m.step for m in client.get_metric_history(run, "loss")] == [1, 2, 3]


def test_a_training_that_goes_on_in_another_checkout_is_there_whole_and_the_first_one_stays(shared, tmp_path, monkeypatch):
    here = mirror()
    here.push(entries(2))
    monkeypatch.setattr(checkout, "FILE", tmp_path / "elsewhere" / ".checkout")
    there = mirror()
    there.push([*entries(4), {"event": "end", "time": 1009.0}])
    client = mlflow_store.open_client()
    told = [
        (client.get_run(run).info.status, [m.step for m in client.get_metric_history(run, "loss")])
        for run in (here.mlflow_run.info.run_id, there.mlflow_run.info.run_id)
    ]
    assert told == [("RUNNING", [1, 2]), ("FINISHED", [1, 2, 3, 4])]


def made_before(client):
    """A campaign and a run of it, as a version wrote them that named no checkout."""
    experiment = mlflow_store.experiment_of(client, "tiny")
    parent = client.create_run(experiment, 1, {mlflow_store.RUN_TAG: "tiny", "kind": "campaign"}, "campaign tiny").info.run_id
    tags = {mlflow_store.RUN_TAG: "run-1", "kind": "training", mlflow_store.PARENT_TAG: parent}
    before = client.create_run(experiment, 1000_000, tags, "a run").info.run_id
    client.log_metric(before, "test_accuracy", 91.60000000000001, step=1)
    return parent, before


ACCURATE = [entries(1)[0], entries(1)[1] | {"metrics": {"test_accuracy": 91.60000000000001}}]


def test_on_a_server_runs_of_versions_that_named_no_checkout_stay_as_they_are(shared):
    """They may be another checkout's."""
    client = mlflow_store.open_client()
    runs = made_before(client)
    kept = [client.get_run(run).to_dictionary() for run in runs]
    ours = mirror()
    ours.push(ACCURATE)
    assert ours.mlflow_run.info.run_id not in runs and ours.mlflow_run.data.tags[mlflow_store.PARENT_TAG] not in runs
    assert [client.get_run(run).to_dictionary() for run in runs] == kept


def test_in_the_own_store_they_are_replaced_by_those_with_rounded_numbers_below_the_same_campaign(store):
    client = mlflow_store.open_client()
    parent, before = made_before(client)
    for _ in range(2):
        mirror().push(ACCURATE)
    (run,) = trainings(client)
    assert run.info.run_id != before and run.data.metrics == {"test_accuracy": 91.6}
    assert run.data.tags[mlflow_store.PARENT_TAG] == parent
    assert client.get_run(parent).data.tags[mlflow_store.CHECKOUT_TAG] == checkout.checkout_id()


def test_a_copy_of_a_checkout_goes_on_with_the_store_that_was_copied_with_it(store, tmp_path, monkeypatch):
    first = mirror()
    first.push(entries(1))
    monkeypatch.setattr(checkout, "FILE", tmp_path / "copy" / ".checkout")
    mirror().push(entries(2))
    (run,) = trainings(mlflow_store.open_client())
    assert run.info.run_id == first.mlflow_run.info.run_id
    assert run.data.tags[mlflow_store.CHECKOUT_TAG] == checkout.checkout_id()


def test_numbers_are_those_of_tables_and_are_found_again(store):
    told = {"test_accuracy": 91.60000000000001, "tokens_by_block": [0.15615078124999998], "train_loss": 1.3071989501133943}
    record = [entries(1)[0], entries(1)[1] | {"metrics": told}]
    mirror().push(record)
    mirror().push(record)
    (run,) = trainings(mlflow_store.open_client())
    assert run.data.metrics == {"test_accuracy": 91.6, "tokens_by_block_1": 0.1562, "train_loss": 1.307}
