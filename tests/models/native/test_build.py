"""Where kernels come from, and that a network computes without them. Each case is a process of its own: they are found once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models import native
from models.native import build

ROOT = Path(__file__).resolve().parents[3]
CXX = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
needs_compiler = pytest.mark.skipif(CXX is None, reason="no C++ compiler here")

# One interpreter imports what is needed, then every case is a fork of it: {case: environment} comes in, {case: outcome} goes out.
SCRIPT = """
import importlib, json, os, sys, torch
from models import neuron, spikformer
from models.native import build as kernels
torch.set_num_threads(1)
neuron.lif(torch.ones(4).double())  # what is imported late, once for all
readers = {}
for case, environment in json.loads(sys.argv[1]).items():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.environ.update(environment)
        importlib.reload(kernels)
        torch.manual_seed(0)
        spikes = neuron.lif(torch.tensor([1.0, 1.5, 0.8, 2.0])).tolist()
        logits = spikformer.Spikformer(depth=1, width=16, heads=2)(torch.randn(1, 3, 32, 32)).logits
        logits.sum().backward()
        outcome = dict(built=kernels.library()[0] is not None, says=kernels.describe(), spikes=spikes, logits=logits.tolist())
        outcome |= {str(dtype): kernels.supports(torch.ones(2, dtype=dtype)) for dtype in (torch.float32, torch.float64)}
        os.write(writer, json.dumps(outcome).encode())
        os._exit(0)
    os.close(writer)
    readers[case] = reader
print(json.dumps({case: json.loads(open(reader).read() or "null") for case, reader in readers.items()}))
"""
PLAIN = ("off", "no compiler", "broken", "silent", "useless", "cache is a file", "cache in a file")


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def outcomes(folder):
    file, empty = folder / "file", folder / "empty"
    file.write_text("")
    empty.mkdir()
    passes = 'case "$1" in --version) echo strange 1.0; exit 0;; esac'
    home = {"XDG_CACHE_HOME": str(folder / "unused"), "ATSNN_KERNELS": ""}
    broken = script(folder / "broken", f"{passes}\necho 'fatal: no vectors here' >&2\necho 'a second line' >&2\nexit 3")
    honest = script(folder / "honest", f'case "$1" in --version) ;; *) echo built >> {folder}/log;; esac\nexec {CXX} "$@" -O0')
    cases = {
        "off": {"ATSNN_KERNELS": "off"},
        "no compiler": {"PATH": str(empty), "CXX": ""},
        "broken": {"CXX": broken},
        "silent": {"CXX": script(folder / "silent", "exit 1")},
        "useless": {"CXX": script(folder / "useless", f"{passes}\nexit 0")},  # says that it compiled
        "cache is a file": {"XDG_CACHE_HOME": str(file)},
        "cache in a file": {"XDG_CACHE_HOME": str(file / "deeper")},
        "first": {"CXX": honest, "XDG_CACHE_HOME": str(folder / "cache")},
        "second": {"CXX": honest, "XDG_CACHE_HOME": str(folder / "cache")},
    }
    command = [sys.executable, "-c", SCRIPT, json.dumps({case: home | change for case, change in cases.items()})]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("case", PLAIN)
def test_without_kernels_a_network_computes_and_trains_in_plain_pytorch(outcomes, case):
    outcome = outcomes[case]
    assert outcome is not None, "the process ended before it computed anything"
    assert not outcome["built"] and not outcome["torch.float32"] and outcome["says"].startswith("plain PyTorch: ")
    assert outcome["spikes"] == [0, 1, 0, 1]  # v: 0.5 | 1.0 | 0.4 | 1.2
    assert outcome["logits"] == outcomes["off"]["logits"] and torch.tensor(outcome["logits"]).isfinite().all()


@pytest.mark.parametrize(
    "case, reason",
    (
        ("off", "ATSNN_KERNELS is off"),
        ("no compiler", "no C++ compiler"),
        ("broken", "fatal: no vectors here"),
        ("silent", "returned non-zero exit status 1"),
        ("useless", "No such file"),
        ("cache is a file", "file"),
        ("cache in a file", "Not a directory"),
    ),
)
def test_it_says_why_there_are_no_kernels_in_one_line(outcomes, case, reason):
    if CXX is None and case.startswith("cache"):
        pytest.skip("no C++ compiler here")
    assert reason in outcomes[case]["says"] and "\n" not in outcomes[case]["says"]


@needs_compiler
def test_two_processes_that_build_at_once_leave_one_file_and_both_have_kernels(outcomes, folder):
    assert (folder / "log").read_text().split() == ["built"] * 2, "both must have compiled for this to mean anything"
    left = [path.name for path in (folder / "cache" / "at-snn").iterdir()]
    assert len(left) == 1 and left[0].startswith("kernels-") and left[0].endswith(".so")
    for case in ("first", "second"):
        assert (
            outcomes[case]["built"]
            and outcomes[case]["torch.float32"]
            and outcomes[case]["says"].startswith("compiled kernels: ")
        )
        assert outcomes[case]["spikes"] == [0, 1, 0, 1] and outcomes[case]["logits"] == outcomes["first"]["logits"]


def test_what_failed_leaves_nothing_in_the_cache(outcomes, folder):
    assert outcomes["broken"] and not list((folder / "unused").rglob("*kernels*"))


@needs_compiler
def test_float64_is_never_served(outcomes):
    assert outcomes["first"]["torch.float32"] and not outcomes["first"]["torch.float64"]


def test_only_a_processor_is_served(monkeypatch):
    monkeypatch.setattr(build, "library", lambda: (object(), "pretended"))
    assert native.supports(torch.ones(1)) and native.supports(torch.ones(1, dtype=torch.bfloat16))
    assert not native.supports(torch.ones(1, device="meta"))
    assert not any(native.supports(torch.ones(1).to(dtype)) for dtype in (torch.float64, torch.float16, torch.int64))


def test_what_is_cached_is_not_compiled_again_until_compiler_source_or_flags_change(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compiler = script(tmp_path / "cxx", f'for last; do :; done\necho "$last" > "$last"\necho built >> {tmp_path}/log')
    times = lambda: len((tmp_path / "log").read_text().split())  # noqa: E731
    first = build.build_library(compiler, "a compiler 1.0")
    assert build.build_library(compiler, "a compiler 1.0") == first and first.exists() and times() == 1
    second = build.build_library(compiler, "a compiler 1.1")
    monkeypatch.setattr(build, "FLAGS", [*build.FLAGS, "-g"])
    third = build.build_library(compiler, "a compiler 1.0")
    source = tmp_path / "other.cpp"
    source.write_text("")
    monkeypatch.setattr(build, "SOURCE", source)
    assert len({first, second, third, build.build_library(compiler, "a compiler 1.0")}) == 4 and times() == 4


@needs_compiler
def test_a_damaged_library_in_the_cache_means_plain_pytorch(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ATSNN_KERNELS", raising=False)
    passes = script(
        tmp_path / "cxx", 'case "$1" in --version) echo strange 1.0; exit 0;; esac\nfor last; do :; done\necho > "$last"'
    )
    monkeypatch.setattr(build, "COMPILERS", (passes,))
    loaded, says = build.library.__wrapped__()
    assert loaded is None and says.startswith("plain PyTorch: ") and ".so" in says


def test_a_compiler_that_complains_in_another_encoding_means_plain_pytorch(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ATSNN_KERNELS", raising=False)
    text = 'case "$1" in --version) echo strange 1.0; exit 0;; esac\nprintf "d\\351faut\\n" >&2\nexit 1'
    monkeypatch.setattr(build, "COMPILERS", (script(tmp_path / "cxx", text),))
    loaded, says = build.library.__wrapped__()
    assert loaded is None and says.startswith("plain PyTorch: ")


def test_a_user_without_a_home_has_plain_pytorch(tmp_path, monkeypatch):
    """A container that runs under a number of its own: no HOME, and nobody by that number."""

    def nobody(number):
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME", "ATSNN_KERNELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr(build, "COMPILERS", (script(tmp_path / "cxx", "echo strange 1.0"),))
    loaded, says = build.library.__wrapped__()
    assert loaded is None and says.startswith("plain PyTorch: ")
