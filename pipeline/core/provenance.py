"""Record what a number was made with: code, packages, machine."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from pipeline.core.paths import ROOT

OWN_FILE = "pipeline/core/provenance.py"
MOST_SECONDS = 60  # for an answer of git, which reads all of a checkout; on a disk of a network, too
REFUSALS = {  # what git says, and what that means for the project
    b"(or any of the parent directories)": "the project is not in a git checkout",
    b"(or any parent up to mount point": "the project is not in a git checkout",
    b"dubious ownership": "git may not read the checkout, which another user owns: see safe.directory",
    b"unsafe repository": "git may not read the checkout, which another user owns: see safe.directory",
}
PACKAGES = ("torch", "torchvision", "spikingjelly", "timm", "numpy", "pandas", "mlflow", "snakemake", "dvc")


class UnknownCommit(Exception):
    """The commit of the project can't be known; says why, without paths of this machine."""


def git_state() -> dict:
    """Read the commit of the project's own checkout, and whether tracked files differ from it; not results: campaigns write them.

    Both are None, and `why` says why, where the project is in no checkout of its own or git can't read it.
    """
    try:
        commit = commit_of_own_checkout()
        changes = ask_git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
        return {"commit": commit, "modified": bool(changes)}
    except UnknownCommit as reason:
        return {"commit": None, "modified": None, "why": str(reason)}


def commit_of_own_checkout() -> str:
    """Read the commit that is checked out. Raises UnknownCommit where a repository above or around the project isn't its own."""
    if os.path.realpath(ask_git("rev-parse", "--show-toplevel")) != str(ROOT):
        raise UnknownCommit("the project lies in another repository, not in a checkout of its own")
    commit = ask_git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", failing="the checkout has no commit")
    ask_git("cat-file", "-e", f"HEAD:{OWN_FILE}", failing="the project is not among the files of the repository that it lies in")
    return commit


def ask_git(*arguments: str, failing: str = "git cannot read the checkout") -> str:
    """Run git on the project, whatever repository the caller's variables name, and return what it prints.

    Raises UnknownCommit where it can't be run, or fails.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")}
    environment = others | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}  # writes nothing, speaks English
    try:
        process = subprocess.run(["git", *arguments], capture_output=True, cwd=ROOT, env=environment, timeout=MOST_SECONDS)
    except FileNotFoundError as error:
        raise UnknownCommit("git is not installed") from error
    except OSError as error:
        raise UnknownCommit(f"git cannot be run ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise UnknownCommit(f"git has not answered for {MOST_SECONDS} seconds") from error
    if process.returncode:
        known = (reason for words, reason in REFUSALS.items() if words in process.stderr)
        raise UnknownCommit(next(known, failing))
    return os.fsdecode(process.stdout).rstrip("\n")


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
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")
