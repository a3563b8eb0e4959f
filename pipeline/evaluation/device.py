"""The device and the arithmetic of a process: what accelerate is asked for."""

import ctypes
import os

import torch
from accelerate import Accelerator

from pipeline.core.provenance import processor, vendor

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of glibc's malloc.h


def resolve_precision(declared: str) -> str:
    """`auto` is bf16 where the device multiplies faster in it than in float32, else fp16 with a scaler on a GPU, else float32.

    Processors do with AMX, and AMD's with AVX512_BF16. Intel's without AMX have that flag too, and are slower in it
    (tests/pipeline/evaluation/test_device.py measures both).
    """
    if declared != "auto":
        return declared
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    faster = torch.cpu._is_amx_tile_supported() or (torch.cpu._is_avx512_bf16_supported() and vendor() == "AuthenticAMD")
    return "bf16" if faster else "float32"


def open_device(declared_precision: str, threads: int) -> tuple[Accelerator, str]:
    """The accelerator of this process, on its own GPU where there are several (pipeline.training.processes), and its precision."""
    torch.set_num_threads(threads)
    keep_memory()
    if torch.cuda.is_available():
        be_deterministic()
    precision = resolve_precision(declared_precision)
    mixed = precision if precision in ("bf16", "fp16") else "no"
    return Accelerator(mixed_precision=mixed, cpu=not torch.cuda.is_available()), precision


def be_deterministic() -> None:
    """The same bits from the same steps on a GPU, wherever PyTorch has a way to them; where it has none it warns.

    https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def keep_memory() -> None:
    """Let freed memory stay with the process, where the C library is glibc.

    By default each large tensor is mapped from the system and given back, and its pages are cleared at every step: in a
    training on a processor that costs more than its neurons do (`make bench` shows it).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def describe_device(accelerator: Accelerator) -> str:
    gpu = accelerator.device.type == "cuda"
    return torch.cuda.get_device_name(accelerator.device) if gpu else processor()
