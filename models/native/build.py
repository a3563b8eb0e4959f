"""Build models/native/kernels.cpp with the C++ compiler of this machine, once, and call its functions.

The build takes a few seconds; the library is kept in a cache under the digest of its source, compiler and processor, and is loaded
from memory, where its bytes are those that were checked: a damaged file would end the process, and some caches hold nothing executable.
Where there is no compiler, or with ATSNN_KERNELS=off, nothing is built and the networks compute in plain PyTorch.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).parent / "kernels.cpp"
COMPILERS = (os.environ.get("CXX"), "c++", "g++", "clang++")
# The last three let a loop without reductions become vector instructions; none of them reorders a sum.
FLAGS = "-std=c++17 -O3 -march=native -fopenmp -shared -fPIC -fno-math-errno -fno-trapping-math -fno-signed-zeros".split()
DIGEST_BYTES = hashlib.sha256().digest_size
SERVED = (torch.bfloat16, torch.float32)  # float64 is the reference: always plain


def supports(tensor: Tensor) -> bool:
    """Check whether the kernels can compute with such a tensor on this machine."""
    return tensor.device.type == "cpu" and tensor.dtype in SERVED and library()[0] is not None


def describe() -> str:
    """Describe what computes neurons, norms and attention on this machine's CPU, for the record of a run."""
    return library()[1]


def instruction_set() -> str | None:
    """Name the vector instructions that the kernels were built with; None where there are no kernels."""
    kernels = library()[0]
    return None if kernels is None else kernels.instruction_set().decode()


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
        kernels = load(build_library(compiler, version))
        kernels.instruction_set.restype = ctypes.c_char_p
        layers = "dense" if os.environ.get("ATSNN_KERNELS") == "dense" else "event-driven"
        return kernels, f"compiled kernels: {kernels.instruction_set().decode()}, {layers} layers, {version}"
    except (OSError, IndexError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        return None, f"plain PyTorch: {reason.strip().splitlines()[0] if reason.strip() else 'the kernels were not built'}"


def build_library(compiler: str, version: str) -> bytes:
    """Return the library, compiled unless the cache has it whole; where it can't be kept there, it is compiled each time."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8", errors="replace").splitlines() if cpu.exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    sources = [path.read_bytes() for path in sorted(SOURCE.parent.iterdir()) if path.suffix in (".cpp", ".h")]
    key = hashlib.sha256(repr((sources, FLAGS, version, platform.machine(), flags)).encode()).hexdigest()[:16]
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(folder, "at-snn", f"kernels-{key}.so")
    library = read(path)
    if library is None:
        library = compile_library(compiler)
        with contextlib.suppress(OSError):
            keep(path, library)
    return library


def read(path: Path) -> bytes | None:
    """Read a library that `keep` wrote; None where there is none, or its bytes are not those of the digest at its end."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return None
    library, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    return library if hashlib.sha256(library).digest() == digest else None


def keep(path: Path, library: bytes) -> None:
    """Write a library with its digest, whole or not at all; processes that do so at once leave one file."""
    if not path.is_absolute():
        raise FileNotFoundError(f"there is no home to keep {path} in")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        partial = Path(folder, path.name)
        partial.write_bytes(library + hashlib.sha256(library).digest())
        os.replace(partial, path)


def compile_library(compiler: str) -> bytes:
    """Compile the kernels. Raises CalledProcessError or OSError where the compiler leaves no library."""
    with tempfile.TemporaryDirectory(prefix="at-snn-") as folder:
        library = Path(folder, "kernels.so")
        run(compiler, *FLAGS, str(SOURCE), "-o", str(library))
        return library.read_bytes()


def load(library: bytes) -> ctypes.CDLL:
    """Load a library from memory. Raises OSError where it is none."""
    descriptor = os.memfd_create("at-snn-kernels")  # stays open: the loader knows a library by its path, which has this number
    with open(descriptor, "wb", closefd=False) as file:
        file.write(library)
    return ctypes.CDLL(f"/proc/self/fd/{descriptor}")


def run(*command: str) -> str:
    """Run a program and return its standard output. Raises CalledProcessError, which holds its error output, where it fails."""
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=True).stdout


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
