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
PLAIN = ("off", "no compiler", "broken", "silent", "useless")
UNKEPT = {"cache is a file": "file", "cache in a file": "file/deeper", "cache nowhere": "/proc/nowhere", "no home": "~/.cache"}


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
    other = script(folder / "other", f'exec {CXX} "$@" -O0')
    cases = {
        "off": {"ATSNN_KERNELS": "off"},
        "no compiler": {"PATH": str(empty), "CXX": ""},
        "broken": {"CXX": broken},
        "silent": {"CXX": script(folder / "silent", "exit 1")},
        "useless": {"CXX": script(folder / "useless", f"{passes}\nexit 0")},  # says that it compiled
        "first": {"CXX": honest, "XDG_CACHE_HOME": str(folder / "cache")},
        "second": {"CXX": honest, "XDG_CACHE_HOME": str(folder / "cache")},
        # A relative path is one too: whatever the working folder is, it is no place for a cache
        **{
            case: {"CXX": other, "XDG_CACHE_HOME": place if case == "no home" else str(folder / place)}
            for case, place in UNKEPT.items()
        },
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
    ),
)
def test_it_says_why_there_are_no_kernels_in_one_line(outcomes, case, reason):
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


@needs_compiler
@pytest.mark.parametrize("case", UNKEPT)
def test_where_no_cache_can_be_there_are_kernels_all_the_same(outcomes, case):
    assert outcomes[case]["built"] and outcomes[case]["logits"] == outcomes["first"]["logits"]
    assert not (ROOT / "~").exists()


@needs_compiler
@pytest.mark.parametrize("left", (0.5, 0.01))
def test_a_process_that_meets_a_library_cut_short_builds_it_again(outcomes, folder, tmp_path, left):
    """What is loaded of a file that ends before it should is a bus error, which nothing can catch."""
    (whole,) = (folder / "cache" / "at-snn").iterdir()
    cut = tmp_path / "at-snn" / whole.name
    cut.parent.mkdir()
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * left)])
    surroundings = os.environ | {"CXX": str(folder / "honest"), "XDG_CACHE_HOME": str(tmp_path), "ATSNN_KERNELS": ""}
    code = "import torch; from models import neuron; print(neuron.lif(torch.tensor([1.0, 1.5, 0.8, 2.0])).tolist())"
    code += "; from models.native import build; print(build.describe())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, env=surroundings)
    assert run.returncode == 0 and run.stdout.startswith("[0.0, 1.0, 0.0, 1.0]\ncompiled kernels: "), run
    assert len(cut.read_bytes()) == whole.stat().st_size


def test_what_failed_leaves_nothing_in_the_cache(outcomes, folder):
    assert outcomes["broken"] and not list((folder / "unused").rglob("*kernels*"))


@needs_compiler
def test_float64_is_never_served(outcomes):
    assert outcomes["first"]["torch.float32"] and not outcomes["first"]["torch.float64"]


def test_a_pipe_in_place_of_the_library_stops_nobody(build_here, tmp_path):
    library, _ = build_here()
    (file,) = (tmp_path / "cache/at-snn").iterdir()
    file.unlink()
    os.mkfifo(file)
    assert build_here() == (library, 2) and file.is_file()


def test_only_a_processor_is_served(monkeypatch):
    monkeypatch.setattr(build, "library", lambda: (object(), "pretended"))
    assert native.supports(torch.ones(1)) and native.supports(torch.ones(1, dtype=torch.bfloat16))
    assert not native.supports(torch.ones(1, device="meta"))
    assert not any(native.supports(torch.ones(1).to(dtype)) for dtype in (torch.float64, torch.float16, torch.int64))


@pytest.fixture
def build_here(tmp_path, monkeypatch):
    """A function that gives the library of a compiler's version, and how often that has compiled; the cache is in tmp_path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = f'for last; do :; done\necho built >> {tmp_path}/log\necho library {"of many bytes " * 9} > "$last"'
    compiler = script(tmp_path / "cxx", text)

    def build_once(version="a compiler 1.0"):
        library = build.build_library(compiler, version)
        return library, len((tmp_path / "log").read_text().split())

    return build_once


def test_what_is_cached_is_not_compiled_again_until_compiler_source_or_flags_change(build_here, tmp_path, monkeypatch):
    library = f"library {'of many bytes ' * 9}".strip().encode() + b"\n"
    assert build_here() == (library, 1) and build_here() == (library, 1)
    assert build_here("a compiler 1.1") == (library, 2)
    monkeypatch.setattr(build, "FLAGS", [*build.FLAGS, "-g"])
    assert build_here() == (library, 3)
    source = tmp_path / "other.cpp"
    source.write_text("")
    monkeypatch.setattr(build, "SOURCE", source)
    assert build_here() == (library, 4) and build_here() == (library, 4)
    assert len(list((tmp_path / "cache/at-snn").iterdir())) == 4


DAMAGES = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "without its last byte": lambda whole: whole[:-1],
    "empty": lambda whole: b"",
    "another byte in the middle": lambda whole: whole[:50] + bytes([whole[50] ^ 1]) + whole[51:],
    "zeros, as a crash leaves": lambda whole: bytes(len(whole)),
    "of another program": lambda whole: Path(sys.executable).read_bytes(),
    "a text": lambda whole: "not γ library\n".encode(),
    "longer": lambda whole: whole + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_library_in_the_cache_is_built_again_once(build_here, tmp_path, damage):
    library, _ = build_here()
    (file,) = (tmp_path / "cache/at-snn").iterdir()
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert build_here() == (library, 2) and build_here() == (library, 2)
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_in_the_librarys_place_is_left_and_the_kernels_are_built(build_here, tmp_path):
    library, _ = build_here()
    (file,) = (tmp_path / "cache/at-snn").iterdir()
    file.unlink()
    (file / "kept").mkdir(parents=True)
    assert build_here() == (library, 2) and (file / "kept").is_dir() and list(file.parent.iterdir()) == [file]


@needs_compiler
def test_a_file_that_is_no_library_means_plain_pytorch(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ATSNN_KERNELS", raising=False)
    passes = script(
        tmp_path / "cxx", 'case "$1" in --version) echo strange 1.0; exit 0;; esac\nfor last; do :; done\necho > "$last"'
    )
    monkeypatch.setattr(build, "COMPILERS", (passes,))
    loaded, says = build.library.__wrapped__()
    assert loaded is None and says.startswith("plain PyTorch: ") and "file too short" in says


def test_a_compiler_that_complains_in_another_encoding_means_plain_pytorch(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ATSNN_KERNELS", raising=False)
    text = 'case "$1" in --version) echo strange 1.0; exit 0;; esac\nprintf "d\\351faut\\n" >&2\nexit 1'
    monkeypatch.setattr(build, "COMPILERS", (script(tmp_path / "cxx", text),))
    loaded, says = build.library.__wrapped__()
    assert loaded is None and says.startswith("plain PyTorch: ")
