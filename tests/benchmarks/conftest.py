"""What the benchmarks share: the child that measures, and sizes. Without $ATSNN_BENCH_SCALE all networks are tiny."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from benchmarks import firing_rates

from models import native
from pipeline.campaign.read_declaration import load
from pipeline.command_line import CATALOGUE

SCALE = os.environ.get("ATSNN_BENCH_SCALE")
EXPERIMENT = load(SCALE or "smoke", CATALOGUE)
TINY = {"depth": 1, "width": 16, "heads": 2, "timesteps": 4}
PAPER = {"depth": 4, "width": 384, "heads": 12, "timesteps": 4}
NETWORK = PAPER if SCALE else TINY
GAMMA = 25  # of the methods that merge: the paper's first on CIFAR-10
THREADS = len(os.sched_getaffinity(0)) if SCALE else 1
MOST_ROUNDS = 9
RATE_TOLERANCE = 0.02  # of a layer's firing rate in the bench, whose images are others than those it was settled on


def batch(size: int) -> int:
    """A batch as it is measured, or the smallest that runs every path."""
    return size if SCALE else 2


def larger_batches(size: int) -> list[int]:
    """The batches of throughput: those that fill a GPU too, where there is one."""
    return [size, *([128, 512] if SCALE and torch.cuda.is_available() else [])]


def off_the_published(rates: dict[str, float]) -> float:
    """The largest distance of a layer's firing rate from the published one."""
    published = {f"{block} {layer}": rate for (block, layer), rate in firing_rates.published_rates().items()}
    return max(abs(rate - published[name]) for name, rate in rates.items())


class Child:
    """A process that measures (tests/benchmarks/child.py)."""

    def __init__(self, environment: dict[str, str]):
        command = [sys.executable, str(Path(__file__).with_name("child.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=os.environ | environment, **pipes)

    def ask(self, asked: dict) -> dict:
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            raise RuntimeError(f"the child ended while it did {asked or 'a step'}: see its error above")
        return json.loads(answer)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Here:
    """In place of a child where nothing is measured: the same jobs in the process of the tests."""

    def __init__(self, kernels: str | None):
        self.kernels, self.step = kernels, None

    def ask(self, asked: dict) -> dict:
        from benchmarks import child, jobs

        with pytest.MonkeyPatch.context() as patch:
            if self.kernels == "off":
                patch.setattr(native, "supports", lambda tensor: False)
            if asked:
                self.step, facts = jobs.prepare(asked)
                return facts
            self.step()
            return {"memory_gb": child.peak_gb()}


class Children:
    """At most one child at a time; who asks for the same one again gets it as it is."""

    def __init__(self, environment: dict[str, str]):
        self.environment = environment
        self.key, self.child = None, None

    def get(self, key: str, environment: dict[str, str]) -> Child:
        if self.key != (key, environment) or self.child.process.poll() is not None:
            self.end()
            self.key, self.child = (key, environment), Child(self.environment | environment)
        return self.child

    def end(self) -> None:
        if self.child is not None:
            self.child.end()
        self.key, self.child = None, None


@pytest.fixture(scope="session")
def children(tmp_path_factory):
    every = Children({firing_rates.FOLDER: str(tmp_path_factory.mktemp("settled"))})
    yield every
    every.end()


@pytest.fixture
def measure(benchmark, children):
    """Times a job: `own` is the name of a child that shares its memory with no other job, `kernels` what ATSNN_KERNELS is there,
    `seconds` what all rounds may take.
    """

    def measured(group: str, name: str, spec: dict, *, own="shared", kernels=None, least=1, seconds=6.0, **told) -> dict:
        apart = SCALE or own == "data"
        child = children.get(own, {"ATSNN_KERNELS": kernels} if kernels else {}) if apart else Here(kernels)
        facts = child.ask({"threads": THREADS, **spec})
        clock = time.perf_counter()
        last = child.ask({})
        took = time.perf_counter() - clock
        rounds = min(MOST_ROUNDS, max(least, int(seconds / took))) if SCALE else 1
        benchmark.group = group
        last = benchmark.pedantic(child.ask, args=({},), rounds=rounds) or last
        benchmark.extra_info |= facts | last | {"name": name} | told
        return facts | last

    return measured
