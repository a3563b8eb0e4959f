"""Each job its own GPU, on a machine whose devices are pretended: a program named nvidia-smi that tells of some."""

import os
import subprocess
import sys
import time

import pretended_gpus
import pytest

from pipeline.core.errors import UserError
from pipeline.evaluation import gpu_locks
from pipeline.evaluation.visible_gpus import visible

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
    pretended_gpus.pretend(tmp_path, gpus(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def gpus(folder):
    return [f"GPU-{letter}{folder.name}" for letter in "abcd"]


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


def test_only_visible_devices_are_taken(tmp_path, monkeypatch):
    everything = gpus(tmp_path)
    assert visible() == everything and gpu_locks.jobs_at_once() == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{everything[2]},GPU-a")
    assert visible() == [everything[2], everything[0]] and gpu_locks.jobs_at_once() == 2
    first = job()
    assert devices(first) == [everything[2]]
    second = job()
    assert devices(second) == [everything[0]]
    third = job()
    assert third.stdout.readline() == "waits for 1 of 2 GPUs to be free\n"
    end(first)
    assert devices(third) == [everything[2]]
    end(third, second)


def test_jobs_on_a_gpu_that_mig_splits_have_an_instance_each(tmp_path, monkeypatch):
    """Also where one names the GPU, which stands for its first instance, and where names have slashes."""
    one, two = f"MIG-GPU-{tmp_path.name}/1/0", f"MIG-GPU-{tmp_path.name}/2/0"
    pretended_gpus.pretend(tmp_path, [f"GPU-{tmp_path.name}"], instances_of={f"GPU-{tmp_path.name}": [one, two]})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{two},{one}")
    assert gpu_locks.jobs_at_once() == 2
    first = job()
    assert devices(first) == [two]
    second = job()
    assert devices(second) == [one]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"GPU-{tmp_path.name}")
    third = job()
    assert third.stdout.readline() == "waits for 1 of 1 GPUs to be free\n"
    end(second)
    assert devices(third) == [one]
    end(third, first)


def test_no_training_gets_two_instances(tmp_path, monkeypatch):
    whole, *_, split = gpus(tmp_path)
    pretended_gpus.pretend(tmp_path, [whole, split], instances_of={split: ["MIG-1", "MIG-2"]})
    with pytest.raises(
        UserError, match="2 GPUs are asked for and 1 can be used here, MIG instances aside, which can't train together"
    ):
        gpu_locks.take(2, print)
    assert not list(tmp_path.glob("*.lock")), "nothing is locked"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1,MIG-2")
    with pytest.raises(UserError, match="2 GPUs are asked for and 0 can be used here, MIG"):
        gpu_locks.take(2, print)
    assert gpu_locks.take(1, print) == ["MIG-1"]


def unknown_job(count=1):
    """Start a job that has said why it can't know its devices."""
    running = job(count)
    assert running.stdout.readline() == (
        "one job at a time uses GPUs, since they can't be told apart: "
        "nvidia-smi fails (Unknown Error), and CUDA_VISIBLE_DEVICES=0,1 tells of GPUs: unset it where there are none\n"
    )
    return running


def test_where_devices_cannot_be_known_one_job_runs_at_a_time(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    known = job()
    assert devices(known) == gpus(tmp_path)[:1]
    pretended_gpus.install(tmp_path, "echo Unknown Error; exit 1")
    assert gpu_locks.jobs_at_once() == 1
    assert capsys.readouterr().err.startswith("one job at a time uses GPUs, since they can't be told apart: nvidia-smi fails")
    first = unknown_job(2)
    assert first.stdout.readline() == "waits for the GPUs of this machine to be free\n"
    end(known)
    assert first.stdout.readline() == "taken 0,1\n", "it sees what it saw before"
    second = unknown_job()
    assert second.stdout.readline() == "waits for the GPUs of this machine to be free\n"
    second.kill()
    second.wait(20)
    pretended_gpus.pretend(tmp_path, gpus(tmp_path))
    known_again = job()
    assert known_again.stdout.readline() == "waits for 1 of 2 GPUs to be free\n"
    end(first)
    assert devices(known_again) == gpus(tmp_path)[:1]
    end(known_again)


def test_more_devices_than_there_are_is_one_line(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    with pytest.raises(UserError, match="3 GPUs are asked for and 2 can be used here"):
        gpu_locks.take(3, print)


def test_a_machine_without_gpus_waits_for_none(tmp_path, monkeypatch):
    for answer in ("exit 9", "echo 'No devices were found'"):
        pretended_gpus.install(tmp_path, answer)
        assert gpu_locks.take(2, print) == visible() == [] and gpu_locks.jobs_at_once() == 0
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_job_whose_devices_are_named_wrongly_says_that_it_has_none(monkeypatch):
    for value in ("7", "1,1", "GPU-f"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        said = []
        assert gpu_locks.take(1, said.append) == []
        assert said == [f"has no GPU: CUDA_VISIBLE_DEVICES={value} names none that is here, or one twice"]
