"""Shapes in the signatures of models/ are checked here, by jaxtyping and beartype, and nowhere else."""

import signal
import sys
from pathlib import Path

import torch
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
install_import_hook("models", "beartype.beartype")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C, and all that they start
torch.set_num_threads(1)  # tests run side by side, and golden numbers belong to one thread


def pytest_terminal_summary(terminalreporter):
    """A part of this machine that is missing is told at the end, where nobody overlooks it."""
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reason for reason in reasons if reason.startswith("NOT TESTED")):
        terminalreporter.write_line(reason, red=True, bold=True)
