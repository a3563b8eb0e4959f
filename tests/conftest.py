"""Shapes in the signatures of models/ are checked here, by jaxtyping and beartype, and nowhere else."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent
LONG = ("cluster", "faults", "workflow")  # folders with files that take minutes
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import left_processes  # noqa: E402

install_import_hook("models", "beartype.beartype")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C, and all that they start
left_processes.mark_children()
torch.set_num_threads(1)  # tests run side by side, and golden numbers belong to one thread


@pytest.fixture(scope="session", autouse=True)
def tests_leave_no_process_behind():
    yield
    processes = left_processes.left_for_good()
    left_processes.kill(processes)
    assert not processes, f"left by tests, and killed: {processes}"


def pytest_configure():
    """Without git nothing begins: many tests copy what it lists of this project. What a hook exports is another repository's."""
    for name in [name for name in os.environ if name.startswith("GIT_") and not name.startswith("GIT_CONFIG")]:
        del os.environ[name]
    if not shutil.which("git"):
        raise pytest.UsageError("the tests need the program git: install it (the project itself may lie outside of a checkout)")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers():
    """`-n auto` is one process more than there are processors: some tests wait, for a server or a queue."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items):
    """Files that take minutes begin first, so that in the end no process is left with one while the others have nothing to do."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


def pytest_terminal_summary(terminalreporter):
    """A part of this machine that is missing is told at the end, where nobody overlooks it."""
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reason for reason in reasons if reason.startswith("NOT TESTED")):
        terminalreporter.write_line(reason, red=True, bold=True)
