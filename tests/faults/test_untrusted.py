"""Whatever stands in a file that is read, it is read, or refused in one line: never a traceback, never any of its code run.

100 examples of each here, as many as ATSNN_EXAMPLES says in `make faults`.
"""

import gzip
import hashlib
import json
import os
import pickle

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.campaign.read_declaration import EXPERIMENTS, load
from pipeline.command_line import CATALOGUE
from pipeline.core import atomic_files
from pipeline.core import record as records
from pipeline.core.errors import UserError
from pipeline.data.archives import archive_members
from pipeline.data.datasets import cifar10
from pipeline.data.folder_or_zip import open_tree
from pipeline.data.prepared import Prepared
from pipeline.evaluation.weights import load_weights, save_weights
from pipeline.training.checkpoint import Position, restore_checkpoint, save_checkpoint

EXAMPLES = int(os.environ.get("ATSNN_EXAMPLES", 100))
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
SMOKE = yaml.safe_load((EXPERIMENTS / "smoke.yaml").read_text())


def model():
    made = nn.Linear(3, 2)
    return made, torch.optim.AdamW(made.parameters())


def refused(call, *given) -> str:
    """What it says, in one line, if it refuses; nothing if it reads."""
    try:
        call(*given)
    except UserError as error:
        return str(error)
    return ""


def damaged(content: bytes, place: float, bit: int, cut: bool) -> bytes:
    """One bit flipped, or all from there on gone."""
    at = min(int(place * len(content)), len(content) - 1)
    return content[:at] if cut else content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


damage = {"place": st.floats(0, 1), "bit": st.integers(0, 7), "cut": st.booleans()}


@many
@given(content=st.binary(max_size=400), signed=st.booleans())
def test_a_checkpoint_of_any_bytes(tmp_path, content, signed):
    digest = hashlib.sha256(content).hexdigest().encode() + b"\n" if signed else b""
    (tmp_path / "c.pt").write_bytes(digest + content)
    assert "damaged" in refused(restore_checkpoint, tmp_path / "c.pt", "run-1", *model(), None, lambda _: None)


@many
@given(**damage)
def test_a_checkpoint_with_any_damage(tmp_path, place, bit, cut):
    path = tmp_path / "c.pt"
    save_checkpoint(path, "run-1", Position(step=1), *model(), None)
    save_checkpoint(path, "run-1", Position(step=2), *model(), None)
    path.write_bytes(damaged(path.read_bytes(), place, bit, cut))
    assert restore_checkpoint(path, "run-1", *model(), None, lambda _: None).step == 1, "the one before"


@many
@given(**damage)
def test_weights_with_any_damage(tmp_path, place, bit, cut):
    path = tmp_path / "final.safetensors"
    save_weights(path, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "run-1")
    path.write_bytes(damaged(path.read_bytes(), place, bit, cut))
    refused(load_weights, path, nn.Linear(3, 2), "run-1")  # a bit within a number is found by done.json's sha256


@many
@given(lines=st.lists(values | st.binary(max_size=30), max_size=5))
def test_a_record_of_any_lines(tmp_path, lines):
    parts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (tmp_path / "record.jsonl").write_bytes(b"\n".join([b'{"event": "start", "time": 0}', *parts]))
    said = refused(records.read, tmp_path / "record.jsonl")
    assert "\n" not in said and (said == "" or "delete" in said)


@many
@given(content=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_a_json_file_of_any_content(tmp_path, content):
    (tmp_path / "done.json").write_bytes(content)
    assert "delete it" in refused(atomic_files.read_json, tmp_path / "done.json", "weights_sha256")


@pytest.mark.parametrize("read", (atomic_files.read_json, records.read))
def test_json_that_is_nested_deeper_than_python_reads(tmp_path, read):
    (tmp_path / "done.json").write_text('{"event": "start", "a": ' + "[" * 100_000 + "\n")
    assert "delete" in refused(read, tmp_path / "done.json")


@many
@given(section=st.sampled_from(sorted(SMOKE)), value=values)
def test_a_declaration_with_any_value_anywhere(tmp_path, section, value):
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(SMOKE | {section: value}))
    refused(load, "smoke", CATALOGUE, tmp_path)


@many
@given(data=st.data(), value=values)
def test_a_declaration_with_any_entry(tmp_path, data, value):
    section = data.draw(st.sampled_from([key for key, entries in SMOKE.items() if isinstance(entries, dict)]))
    name = data.draw(st.sampled_from(sorted(SMOKE[section])))
    entry = SMOKE[section][name]
    keys = sorted(entry) + ["options", "seeds", "parent", "settings", "exits", "probe", "timesteps"]
    changed = entry | {data.draw(st.sampled_from(keys)): value}
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(SMOKE | {section: SMOKE[section] | {name: changed}}))
    refused(load, "smoke", CATALOGUE, tmp_path)


@many
@given(content=st.binary(max_size=200) | values.map(pickle.dumps))
def test_a_cifar_batch_of_any_pickle(content):
    assert refused(cifar10.CIFAR10.batch, content, 10_000, "batch"), "none of these is a batch"


@many
@given(data=values, labels=values)
def test_a_cifar_batch_of_any_arrays(data, labels):
    assert refused(cifar10.CIFAR10.batch, pickle.dumps({"data": data, "labels": labels}), 10_000, "batch")


@many
@given(content=st.binary(max_size=200))
def test_archives_of_any_bytes(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    (tmp_path / "a.zip").write_bytes(content)

    def read():
        with open_tree(tmp_path / "a.zip", "tiny-imagenet-200") as tree:
            tree.names  # noqa: B018

    assert refused(archive_members, tmp_path / "a.tar.gz", ["x"]) and refused(read)


@many
@given(**damage)
def test_prepared_data_with_any_damage(tmp_path, place, bit, cut):
    folder = tmp_path / "prepared"
    folder.mkdir(exist_ok=True)
    np.save(folder / "test_images.npy", np.zeros((4, 8, 8, 3), np.uint8))
    np.save(folder / "test_labels.npy", np.arange(4))
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.npy")}
    meta = {"counts": {"test": 4}, "classes": 10, "mean": [0.5] * 3, "std": [0.2] * 3, "origin": "x", "sha256": digests}
    (folder / "meta.json").write_text(json.dumps(meta))
    path = folder / "test_labels.npy"
    path.write_bytes(damaged(path.read_bytes(), place, bit, cut))

    assert "its checksum is of other bytes: delete" in refused(Prepared(folder).split, "test")


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.archives.LARGEST", 10_000)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(20_000)))
    assert "unpacks to more than 10000 bytes" in refused(archive_members, tmp_path / "a.tar.gz", ["x"])


LAUGHS = "".join(f"      b{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n" for i in range(9))


@pytest.mark.parametrize(
    "text, said",
    (
        ("threads: 2020-13-45", "threads must be a whole number from 1 to 1,024, as in 1, but is '2020-13-45'"),
        ("about: !!bool maybe", "is not valid YAML"),
        ("about: !!timestamp x", "line 3: !!timestamp in about is not known here"),
        (f"recipes: {{retrain: {{epochs: {'9' * 5000}}}}}", "is not valid YAML"),
        ("\n".join(f"key{i}: 1" for i in range(20_000)), "unknown key key0"),
        (f"runs: {{static: {{seeds: {list(range(2000))}}}}}", "seeds must be a list of whole numbers, 1 to 1000 of them"),
        (f"about: {'[' * 3000}{']' * 3000}", "is not valid YAML"),
        ("about: &a [*a]", "a *name in about.0 stands for what it is part of"),
        (f"runs:\n  at_snn_gamma10:\n    options:\n{LAUGHS}      gamma: *a8", "stands for more than 100,000 values"),
    ),
)
def test_a_declaration_that_nests_or_repeats_itself_without_end(tmp_path, text, said):
    (tmp_path / "smoke.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text())
    (tmp_path / "deep.yaml").write_text(f"scale: deep\nextends: smoke\n{text}\n")
    assert said in refused(load, "deep", CATALOGUE, tmp_path)
