"""What comes from outside stays where it belongs: names in their folders, the server on this machine."""

import copy
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from functools import reduce
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from small_sets import many

from pipeline import aggregate, bench, claims, evaluate, figure, prepare, report, tracking, train
from pipeline.campaign.read_declaration import EXPERIMENTS, load
from pipeline.command_line import CATALOGUE, from_config, open_campaign
from pipeline.core.errors import UserError, run_stage
from pipeline.mirror import params_and_tags

ROOT = Path(__file__).resolve().parents[2]
SMOKE = yaml.safe_load((EXPERIMENTS / "smoke.yaml").read_text())
AWAY = (
    "../../x",
    "/etc/passwd",
    "a/b",
    "x\n",
    "smoke\n",
    ".",
    "..",
    "",
    "~",
    "%2e%2e",
    "a\\b",
    "<b>x</b>",
    "x" * 5000,
    "\x1b[31m",
    "é",
)


def as_yaml(content) -> str:
    return yaml.dump(content, Dumper=yaml.CSafeDumper)  # ten times faster than safe_dump, and as safe


# The server


def listening(processes: set[int]) -> set[str]:
    """The addresses, with ports, at which processes wait for connections, as /proc has them."""
    sockets = set()
    for process in processes:
        for file in Path(f"/proc/{process}/fd").iterdir():
            try:
                sockets.add(os.readlink(file))
            except OSError:
                pass  # closed meanwhile
    found = set()
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{table}").read_text().splitlines() if Path(f"/proc/net/{table}").exists() else []
        for _, local, _, state, *rest in map(str.split, lines[1:]):
            if state == "0A" and f"socket:[{rest[5]}]" in sockets:
                address, port = local.split(":")
                parts = [bytes.fromhex(address)[i : i + 4][::-1] for i in range(0, len(address) // 2, 4)]
                kind = socket.AF_INET if len(parts) == 1 else socket.AF_INET6
                found.add(f"{socket.inet_ntop(kind, b''.join(parts))} {int(port, 16)}")
    return found


def group(leader: int) -> set[int]:
    """The processes of a group."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[2]) == leader:
                found.add(int(stat.parent.name))
        except OSError:
            pass  # ended meanwhile
    return found


on_linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens where")


@on_linux
@pytest.mark.parametrize("address", ("0.0.0.0", "127.0.0.1", "::"))
def test_who_listens_is_seen(address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as waiting:
        try:
            waiting.bind((address, 0))
        except OSError:
            pytest.skip(f"there is no {address} here")
        waiting.listen()
        assert f"{address} {waiting.getsockname()[1]}" in listening({os.getpid()})


@on_linux
def test_the_server_of_make_ui_listens_on_this_machine_alone(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    recipe = (ROOT / "Makefile").read_text().partition("\nui:")[2].partition("\n\n")[0]
    (line,) = [line.strip() for line in recipe.splitlines() if "mlflow ui" in line]
    line = line.replace("$(BIN)", shlex.quote(str(Path(sys.executable).parent))).replace("$(PORT)", str(port))
    assert "$" not in line
    (tmp_path / "results").mkdir()
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(line, shell=True, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        seen, until = set(), time.monotonic() + 200
        while f"127.0.0.1 {port}" not in seen:
            assert server.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.3)
            seen |= listening(group(server.pid))
            assert all(place.startswith("127.0.0.1 ") for place in seen), seen
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
        time.sleep(1)
        assert listening(group(server.pid)) == {f"127.0.0.1 {port}"}
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


# Names

SECTIONS = ("datasets", "networks", "recipes", "runs", "evaluations", "figures")
names = st.sampled_from(AWAY) | st.text(max_size=12) | st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@many
@given(section=st.sampled_from(SECTIONS), name=names)
@example(section="runs", name="x\n")
@example(section="runs", name="../../x")
@example(section="runs", name="fine_2")
def test_a_declared_name_that_is_no_plain_word_is_refused(tmp_path, section, name):
    entries = SMOKE[section] | {name: next(iter(SMOKE[section].values()))}
    (tmp_path / "smoke.yaml").write_text(as_yaml(SMOKE | {section: entries}))
    try:
        load("smoke", CATALOGUE, tmp_path)
    except UserError as error:
        assert str(error).isprintable()
    else:
        assert re.fullmatch("[a-z][a-z0-9_]*", name)


def leaves(content, path=()):
    """The places of all single values in a declaration."""
    if isinstance(content, dict | list):
        for key, inner in content.items() if isinstance(content, dict) else enumerate(content):
            yield from leaves(inner, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("value", ('<script>alert("1")</script>', "../../x"))
def test_no_value_but_what_it_is_about_is_free_text(tmp_path, value):
    accepted = []
    for path in leaves(SMOKE):
        changed = copy.deepcopy(SMOKE)
        reduce(lambda inner, key: inner[key], path[:-1], changed)[path[-1]] = value
        (tmp_path / "smoke.yaml").write_text(as_yaml(changed))
        try:
            load("smoke", CATALOGUE, tmp_path)
            accepted.append(path)
        except UserError as error:
            assert str(error).isprintable()
    assert accepted == [("about",)]


@many
@given(name=names)
@example(name="../beside")
@example(name="sub/below")
def test_a_scale_that_is_no_plain_word_is_refused(tmp_path, name):
    for place in ("beside", "here/sub/below", "here/base"):
        path = tmp_path / f"{place}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_yaml(SMOKE))
    (tmp_path / "here/smoke.yaml").write_text(as_yaml({"extends": name, "scale": "smoke"}))
    for call in (lambda: load(name, CATALOGUE, tmp_path / "here"), lambda: load("smoke", CATALOGUE, tmp_path / "here")):
        try:
            call()
        except UserError as error:
            assert str(error).isprintable()
        else:
            assert name == "base"


COMMANDS = [(prepare, "--scale", "{}"), (prepare, "--set", "{}"), (train, "--run", "{}"), (train, "--scale", "{}", "--run", "x")]
COMMANDS += [(evaluate, "--run", "{}"), (evaluate, "--set", "{}"), (figure, "--figure", "{}"), (aggregate, "--scale", "{}")]
COMMANDS += [(claims, "--scale", "{}"), (report, "--scale", "{}"), (tracking, "--scale", "{}"), (bench, "--scale", "{}")]


@pytest.mark.parametrize("stage, words", [(command[0], command[1:]) for command in COMMANDS])
def test_a_command_that_is_given_such_a_name_writes_nothing(tmp_path, monkeypatch, capsys, stage, words):
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    name = stage.__name__.rpartition(".")[2]
    for value in AWAY:
        monkeypatch.setattr(sys, "argv", [name, *(word.format(value) for word in words)])
        with pytest.raises(SystemExit) as ended:
            run_stage(stage.main, name)
        said = capsys.readouterr().err
        assert ended.value.code == 2 and said.count("\n") == 1 and said.startswith(f"pipeline.{name}: error: "), said
        assert said[:-1].isprintable()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b"]


@pytest.mark.parametrize("value", AWAY)
def test_the_graph_refuses_such_a_scale(capsys, value):
    with pytest.raises(SystemExit) as ended:
        from_config({"scale": value})
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_every_file_of_a_campaign_lies_in_its_folders():
    campaign = open_campaign("smoke")
    for name in campaign.targets():
        assert any(Path(name).is_relative_to(own) for own in ("results/smoke", "data/prepared")) and ".." not in Path(name).parts
        assert re.fullmatch(r"[\w./-]+", name, re.ASCII)


def test_mlflow_is_told_the_commit_or_why_it_is_unknown():
    campaign = open_campaign("smoke")
    common = {"precision": "p", "device": "d", "versions": {}}
    for git, tag in (
        ({"commit": "c", "modified": False}, "c"),
        ({"commit": None, "modified": None, "why": "git is not installed"}, "unknown: git is not installed"),
        ({"commit": None, "modified": None}, "unknown"),
    ):
        mirror = params_and_tags.run_mirror(campaign, campaign.runs[0], {"provenance": common | {"git": git}})
        assert mirror.tags["git.commit"] == tag


def test_what_mlflow_is_told_is_made_of_checked_names():
    campaign = open_campaign("smoke")
    start = {"provenance": {"precision": "p", "device": "d", "versions": {}, "git": {"commit": "c"}}}
    mirrors = [params_and_tags.run_mirror(campaign, run, start) for run in campaign.runs]
    mirrors += [params_and_tags.evaluation_mirror(campaign, evaluation) for evaluation in campaign.evaluations]
    assert mirrors
    for mirror in mirrors:
        assert re.fullmatch(r"[a-z0-9_-]+", mirror.run_id) and re.fullmatch(r"[a-z0-9_]+", mirror.scale)
        for text in (mirror.name, *mirror.tags, *mirror.tags.values(), *mirror.params):
            assert re.fullmatch(r"[\w .,:;=()^+/-]*", text), text
