"""The kernels of an ARM processor (aarch64), which has NEON, on this machine: by Debian's cross compiler and emulator."""

import hashlib
import re
import shutil
import struct
import subprocess
from pathlib import Path

import debian
import numpy as np
import torch

from models.native import build

PACKAGES = {"aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu", "qemu-aarch64": "qemu-user"}
COMPILER, EMULATOR = PACKAGES
PROGRAM = Path(__file__).with_name("called_from_files.cpp")


def unusable() -> str:
    """Why there is no emulator here, or nothing; Debian's packages are installed where that is allowed."""
    if missing():
        debian.install(*PACKAGES.values())
    return f"{', '.join(missing())} can't be found: apt-get install {' '.join(PACKAGES.values())}" if missing() else ""


def missing() -> list[str]:
    return [program for program in PACKAGES if not shutil.which(program)]


def expand(compiler: str) -> str:
    """The source of all kernels after the preprocessor."""
    return build.run(compiler, "-std=c++17", "-E", str(build.SOURCE))


def exported(expanded: str) -> list[str]:
    """The names of all kernels, with the dtype at the end."""
    return re.findall(r'extern "C" void (\w+)\(', expanded)


class Kernels:
    """What `build.library` gives, of another processor: each call is a process in the emulator.

    `build.as_c` must leave tensors as they are: their bytes are sent, and come back.
    """

    def __init__(self, folder: Path, monkeypatch):
        expanded = expand(COMPILER)
        flags = [flag for flag in build.FLAGS if flag not in ("-march=native", "-shared", "-fPIC")]
        flags += ["-static", f"-I{build.SOURCE.parent}", f"-DKERNELS={''.join(f'KERNEL({name})' for name in exported(expanded))}"]
        flags += [f"-DSOURCE_{hashlib.sha256(expanded.encode()).hexdigest()}"]  # so that the cache knows other kernels
        monkeypatch.setattr(build, "FLAGS", flags)
        monkeypatch.setattr(build, "SOURCE", PROGRAM)
        self.program = folder / "kernels"
        self.program.write_bytes(build.build_library(COMPILER, build.run(COMPILER, "--version")))
        self.program.chmod(0o755)

    def instruction_set(self) -> bytes:
        return self.output().strip()

    def output(self, *words: str, numbers: bytes = b"") -> bytes:
        done = subprocess.run([EMULATOR, str(self.program), *words], input=numbers, capture_output=True)
        assert done.returncode == 0, (words, done.returncode, done.stderr)
        return done.stdout

    def __getattr__(self, name: str):
        return lambda *arguments: self.call(name, *arguments)

    def call(self, name: str, *arguments: torch.Tensor | float | int | None) -> None:
        arrays = [bytes_of(value) for value in arguments if isinstance(value, torch.Tensor)]
        output = np.frombuffer(self.output(name, numbers=b"".join(map(as_bytes, arguments))), np.uint8)
        ends = np.cumsum([len(array) for array in arrays])
        for array, left in zip(arrays, np.split(output, ends)):
            array[:] = left
        assert len(output) == ends[-1], name


def bytes_of(tensor: torch.Tensor) -> np.ndarray:
    """The bytes of a tensor, to be read and written."""
    return tensor.detach().view(-1).view(torch.uint8).numpy()


def as_bytes(value) -> bytes:
    """An argument as called_from_files.cpp reads it; threads come as ctypes' int."""
    if isinstance(value, torch.Tensor):
        array = bytes_of(value)
        return struct.pack("q", len(array)) + array.tobytes()
    value = -1 if value is None else getattr(value, "value", value)
    return struct.pack("d" if isinstance(value, float) else "q", value)
