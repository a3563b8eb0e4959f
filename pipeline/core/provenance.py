"""Record what a number was made with: code, packages, machine."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = ("torch", "torchvision", "spikingjelly", "timm", "numpy", "pandas", "mlflow", "snakemake", "dvc")


def git_state() -> dict:
    """Read the commit, and whether tracked files but results, which campaigns write, differ from it; None outside a checkout."""

    def git(*arguments):
        process = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=Path(__file__).parent)
        return process.stdout.strip() if process.returncode == 0 else None

    try:
        status = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
        return {"commit": git("rev-parse", "HEAD"), "modified": None if status is None else bool(status)}
    except OSError:
        return {"commit": None, "modified": None}


def versions() -> dict[str, str]:
    """Read the versions of Python and of the installed PACKAGES, by name."""
    version_of = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            version_of[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return version_of


def processor() -> str:
    """Name the model of this machine's processor."""
    return read_cpuinfo("model name") or platform.processor() or platform.machine()


def vendor() -> str:
    """Name the maker of this machine's processor, GenuineIntel or AuthenticAMD; empty where it is unknown."""
    return read_cpuinfo("vendor_id")


def read_cpuinfo(field: str) -> str:
    """Read a field of the first processor in /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")
