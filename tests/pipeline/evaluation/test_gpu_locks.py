"""Each job its own GPU, on a machine whose devices are pretended: a program named nvidia-smi that tells of some."""

import os
import subprocess
import sys
import time

import pytest

from pipeline.core.errors import UserError
from pipeline.evaluation import gpu_locks

TAKE = """
import os, sys, time
from pipeline.evaluation import gpu_locks
taken = gpu_locks.take({count}, lambda line: print(line, flush=True))
print("taken", *taken, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Four devices that no other test knows, and a folder of its own for their locks."""
    pretend(tmp_path, [f"GPU-{n}{tmp_path.name}" for n in "abcd"])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def pretend(folder, uuids):
    lines = "".join(f"echo '{index}, {uuid}'\n" for index, uuid in enumerate(uuids))
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{lines}")
    program.chmod(0o755)


def job(count=1):
    return subprocess.Popen(
        [sys.executable, "-c", TAKE.format(count=count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def devices(running):
    """What a job says that it has, once it has it."""
    while not (line := running.stdout.readline()).startswith("taken"):
        assert line.startswith(("waits", "has"))
    *taken, visible = line.split()[1:]
    assert visible.split(",") == taken
    return taken


def end(*running):
    for process in running:
        process.stdin.close()
        process.wait(20)


def test_jobs_side_by_side_have_a_device_each_and_the_fifth_waits():
    four = [job() for _ in range(4)]
    held = [device for running in four for device in devices(running)]
    assert len(set(held)) == len(held) == 4
    fifth = job()
    assert fifth.stdout.readline() == "waits for 1 of 4 GPUs to be free\n"
    end(four[2])
    assert devices(fifth) == [held[2]]
    end(fifth, four[0], four[1], four[3])


def test_a_killed_job_leaves_its_device():
    first = job(4)
    assert len(devices(first)) == 4
    first.kill()
    second = job(4)
    assert len(devices(second)) == 4
    end(second)


def test_a_job_takes_all_that_it_needs_or_none():
    one, three = job(), job(3)
    assert len(set(devices(one) + devices(three))) == 4
    end(three)
    waiting = job(4)
    assert waiting.stdout.readline().startswith("waits for 4 of 4")
    time.sleep(2 * gpu_locks.PATIENCE)
    other = job(3)
    assert len(devices(other)) == 3, "who waits for four holds none of them"
    end(other, one)
    assert len(devices(waiting)) == 4
    end(waiting)


def test_only_visible_devices_are_taken(monkeypatch):
    everything = [uuid for _, uuid in gpu_locks.present()]
    assert len(everything) == 4
    for wanted, kept in (("2,0,2", [2, 0]), (everything[1], [1]), ("", []), ("7", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", wanted)
        assert gpu_locks.allowed() == [everything[n] for n in kept]


def test_more_devices_than_there_are_is_one_line(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    with pytest.raises(UserError, match="3 GPUs are asked for and 2 can be used here"):
        gpu_locks.take(3, print)


def test_a_machine_without_gpus_waits_for_none(tmp_path):
    for answer in ("exit 9\n", "echo 'No devices were found'\n"):
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{answer}")
        assert gpu_locks.take(2, print) == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
