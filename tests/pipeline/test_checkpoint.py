import pickle

import pytest
import torch
from torch import nn

from pipeline.checkpoint import Position, load_weights, restore_checkpoint, save_checkpoint, save_weights
from pipeline.errors import UserError


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
        epoch=2, step=7, sums={"loss": 1.25}, record="{}\n", seconds=3.5, best={"epoch": 1, "test_accuracy": 50.0}
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


@pytest.mark.parametrize("length", (0, 100, 1000))
def test_a_truncated_checkpoint_is_refused_with_the_remedy(tmp_path, trained, length):
    save_checkpoint(tmp_path / "c.pt", "run-1", Position(), *trained, None)
    (tmp_path / "c.pt").write_bytes((tmp_path / "c.pt").read_bytes()[:length])
    with pytest.raises(UserError, match="can't be read .*: delete it to train this run from the start"):
        restore_checkpoint(tmp_path / "c.pt", "run-1", *fresh(), None)


class Hostile:
    def __reduce__(self):
        return (open, ("hostile-was-here", "w"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.pt").write_bytes(pickle.dumps({"run": "run-1", "model": Hostile()}))
    torch.save({"run": "run-1", "model": Hostile()}, tmp_path / "d.pt")
    for name in ("c.pt", "d.pt"):
        with pytest.raises(UserError, match="can't be read"):
            restore_checkpoint(tmp_path / name, "run-1", *fresh(), None)
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
