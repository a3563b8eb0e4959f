import hashlib
import io
import json
import os
import pickle

import pytest
import torch
from torch import nn

from pipeline.core.errors import UserError
from pipeline.evaluation.weights import load_weights, save_weights
from pipeline.training.checkpoint import Position, before, restore_checkpoint, save_checkpoint

PROVENANCE = {"git": {}, "versions": {}, "data": {}, "device": "d", "kernels": "k", "precision": "fp32", "threads": 1}
RECORD = json.dumps({"event": "start", "time": 1.0, "provenance": PROVENANCE}) + "\n"


@pytest.fixture
def trained():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def fresh():
    model = nn.Linear(3, 2)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def test_everything_comes_back(tmp_path, trained):
    position = Position(
        epoch=2, step=7, sums={"loss": 1.25}, record=RECORD, seconds=3.5, best={"epoch": 1, "test_accuracy": 50.0}
    )
    save_checkpoint(tmp_path / "c.pt", "run-1", position, *trained, None)
    model, optimizer = fresh()
    assert restore_checkpoint(tmp_path / "c.pt", "run-1", model, optimizer, None) == position
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), trained[0].parameters()))
    moments = [[state["exp_avg"] for state in o.state.values()] for o in (optimizer, trained[1])]
    assert len(moments[0]) == 2 and all(torch.equal(a, b) for a, b in zip(*moments))


def test_without_a_checkpoint_a_run_starts_at_the_start(tmp_path):
    assert restore_checkpoint(tmp_path / "none.pt", "run-1", *fresh(), None) == Position()


def test_another_runs_checkpoint_is_refused(tmp_path, trained):
    save_checkpoint(tmp_path / "c.pt", "run-1", Position(), *trained, None)
    with pytest.raises(UserError, match="belongs to run run-1, not to run-2"):
        restore_checkpoint(tmp_path / "c.pt", "run-2", *fresh(), None)


def test_another_networks_checkpoint_is_refused(tmp_path, trained):
    save_checkpoint(tmp_path / "c.pt", "run-1", Position(), *trained, None)
    model = nn.Linear(5, 2)
    with pytest.raises(UserError, match="of another network"):
        restore_checkpoint(tmp_path / "c.pt", "run-1", model, torch.optim.AdamW(model.parameters()), None)


def truncated(content, place):
    return content[: int(place * len(content))]


def flipped(content, place):
    """One bit."""
    at = int(place * len(content))
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("damage", (truncated, flipped))
@pytest.mark.parametrize("place", (0.0, 0.01, 0.5, 0.999))
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(tmp_path, trained, damage, place):
    path, said = tmp_path / "c.pt", []
    for step in (1, 2, 3):
        save_checkpoint(path, "run-1", Position(step=step), *trained, None)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.pt", "c.pt.before"], "the last two, and nothing else"
    path.write_bytes(damage(path.read_bytes(), place))
    assert restore_checkpoint(path, "run-1", *fresh(), None, said.append).step == 2
    assert said[0].startswith(f"checkpoint {path} is damaged (") and said[1] == f"goes on from the one before, {before(path)}"
    assert restore_checkpoint(path, "run-1", *fresh(), None).step == 2 and not before(path).exists(), "the damaged one is gone"
    save_checkpoint(path, "run-1", Position(step=3), *trained, None)
    for one in (path, before(path)):
        one.write_bytes(damage(one.read_bytes(), place))
    with pytest.raises(UserError, match="c.pt and .*c.pt.before: damaged, and no other is left: delete"):
        restore_checkpoint(path, "run-1", *fresh(), None, said.append)


@pytest.mark.parametrize("renamed", (0, 1))
def test_a_kill_between_both_renames_leaves_a_whole_checkpoint(tmp_path, trained, monkeypatch, renamed):
    path, renames = tmp_path / "c.pt", []
    save_checkpoint(path, "run-1", Position(step=1), *trained, None)

    def cut(*names):
        if len(renames) == renamed:
            raise KeyboardInterrupt
        renames.append(names)
        rename(*names)

    rename = os.replace
    monkeypatch.setattr("pipeline.core.atomic_files.os.replace", cut)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, "run-1", Position(step=2), *trained, None)
    assert restore_checkpoint(path, "run-1", *fresh(), None).step == 1


def test_a_full_disk_loses_no_checkpoint(tmp_path, trained, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(path, "run-1", Position(step=1), *trained, None)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.core.atomic_files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, "run-1", Position(step=2), *trained, None)
    assert [file.name for file in tmp_path.iterdir()] == ["c.pt"], "what was written of the new one is gone"
    assert restore_checkpoint(path, "run-1", *fresh(), None).step == 1


class Hostile:
    def __reduce__(self):
        return (open, ("hostile-was-here", "w"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = io.BytesIO()
    torch.save({"run": "run-1", "model": Hostile()}, state)
    for content in (pickle.dumps({"run": "run-1", "model": Hostile()}), state.getvalue()):
        for signed in (content, hashlib.sha256(content).hexdigest().encode() + b"\n" + content):
            (tmp_path / "c.pt").write_bytes(signed)
            with pytest.raises(UserError, match="damaged"):
                restore_checkpoint(tmp_path / "c.pt", "run-1", *fresh(), None)
    assert not (tmp_path / "hostile-was-here").exists()


def test_weights_are_known_by_their_run_and_network(tmp_path, trained):
    path = tmp_path / "final.safetensors"
    save_weights(path, trained[0].state_dict(), "run-1")
    model = nn.Linear(3, 2)
    load_weights(path, model, "run-1")
    assert torch.equal(model.weight, trained[0].weight)
    with pytest.raises(UserError, match="belong to run run-1, not to run-2"):
        load_weights(path, model, "run-2")
    with pytest.raises(UserError, match="of another network"):
        load_weights(path, nn.Linear(4, 2), "run-1")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="can't be read"):
        load_weights(path, model, "run-1")


@pytest.mark.parametrize(
    "change",
    (
        {"epoch": "x"}, {"epoch": "3"}, {"epoch": 1.5}, {"step": -5}, {"best": []}, {"sums": "many"}, {"seconds": None}, {"more": 1},
        {"record": "not json"}, {"record": 5}, {"record": "[1]"}, {"record": '{"event": "end", "time": 0}'}, {"record": "\ud800"},
        {"record": '{"event": "start", "time": 0}'},
    ),
)  # fmt: skip
def test_a_position_of_any_content_behind_a_valid_checksum_is_refused_in_one_line(tmp_path, trained, change):
    path, position = tmp_path / "c.pt", Position(step=1, record=RECORD)
    for key, value in change.items():
        setattr(position, key, value)
    save_checkpoint(path, "run-1", position, *trained, None)
    with pytest.raises(UserError, match="c.pt.*(delete it|delete the file)"):
        restore_checkpoint(path, "run-1", *fresh(), None)
