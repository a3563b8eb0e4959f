"""Build models/native/kernels.cpp with the C++ compiler of this machine, once, and call its functions.

The build takes a few seconds; the library is kept in a cache under the digest of its source, compiler and processor.
Where there is no compiler, or with ATSNN_KERNELS=off, nothing is built and the networks compute in plain PyTorch.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).parent / "kernels.cpp"
COMPILERS = (os.environ.get("CXX"), "c++", "g++", "clang++")
# The last three let a loop without reductions become vector instructions; none of them reorders a sum.
FLAGS = "-std=c++17 -O3 -march=native -fopenmp -shared -fPIC -fno-math-errno -fno-trapping-math -fno-signed-zeros".split()
SERVED = (torch.bfloat16, torch.float32)  # float64 is the reference: always plain


def supports(tensor: Tensor) -> bool:
    """Check whether the kernels can compute with such a tensor on this machine."""
    return tensor.device.type == "cpu" and tensor.dtype in SERVED and library()[0] is not None


def describe() -> str:
    """Describe what computes neurons, norms and attention on this machine's CPU, for the record of a run."""
    return library()[1]


@cache
def library() -> tuple[ctypes.CDLL | None, str]:
    """Load the kernels, built if need be. Returns them and a description, or None and the reason."""
    if os.environ.get("ATSNN_KERNELS") == "off":
        return None, "plain PyTorch: ATSNN_KERNELS is off"
    compiler = next((path for name in COMPILERS if name and (path := shutil.which(name))), None)
    if compiler is None:
        return None, "plain PyTorch: no C++ compiler"
    try:
        version = run(compiler, "--version").splitlines()[0]
        return ctypes.CDLL(str(build_library(compiler, version))), f"compiled kernels: {version}"
    except (OSError, IndexError, RuntimeError, subprocess.CalledProcessError) as error:  # RuntimeError: there is no home folder
        reason = getattr(error, "stderr", None) or str(error)
        return None, f"plain PyTorch: {reason.strip().splitlines()[0] if reason.strip() else 'the kernels were not built'}"


def build_library(compiler: str, version: str) -> Path:
    """Return the library's file, compiled unless it is in the cache; two processes that compile at once leave the same file."""
    cpu = Path("/proc/cpuinfo")
    flags = next((line for line in cpu.read_text().splitlines() if line.startswith("flags")), "") if cpu.exists() else ""
    sources = [path.read_bytes() for path in sorted(SOURCE.parent.iterdir()) if path.suffix in (".cpp", ".h")]
    key = hashlib.sha256(repr((sources, FLAGS, version, platform.machine(), flags)).encode()).hexdigest()[:16]
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "at-snn"
    path = cache_folder / f"kernels-{key}.so"
    if not path.exists():
        cache_folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        run(compiler, *FLAGS, str(SOURCE), "-o", str(partial))
        os.replace(partial, path)
    return path


def run(*command: str) -> str:
    """Run a program and return its standard output. Raises CalledProcessError, which holds its error output, where it fails."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout


def call(name: str, *arguments: Tensor | float | int | None) -> None:
    """Call a function of native/kernels.cpp for the dtype of its first tensor, on torch's number of threads.

    Tensors are passed by address, so they must be contiguous; None is a null pointer, a float a double, an int an int64.
    """
    kernel = getattr(library()[0], f"{name}_{str(arguments[0].dtype).removeprefix('torch.')}")
    kernel(*map(as_c, arguments), ctypes.c_int(torch.get_num_threads()))


def as_c(value: Tensor | float | int | None):
    """Convert an argument of `call` to its C type."""
    if isinstance(value, Tensor):
        assert value.is_contiguous()
        return ctypes.c_void_p(value.data_ptr())
    if value is None:
        return ctypes.c_void_p(None)
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_int64(value)
