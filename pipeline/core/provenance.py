"""What a number was made with: code, packages, machine."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = ("torch", "torchvision", "spikingjelly", "timm", "numpy", "pandas", "mlflow", "snakemake", "dvc")


def git_state() -> dict:
    """The commit, and whether tracked files differ from it, results aside, which a campaign writes; None outside a checkout."""

    def git(*words):
        run = subprocess.run(["git", *words], capture_output=True, text=True, cwd=Path(__file__).parent)
        return run.stdout.strip() if run.returncode == 0 else None

    try:
        status = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
        return {"commit": git("rev-parse", "HEAD"), "modified": None if status is None else bool(status)}
    except OSError:
        return {"commit": None, "modified": None}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The model of this machine's processor."""
    return told_of_processor("model name") or platform.processor() or platform.machine()


def vendor() -> str:
    """Who made it, as the processor says: GenuineIntel, AuthenticAMD; empty where it isn't told."""
    return told_of_processor("vendor_id")


def told_of_processor(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")
