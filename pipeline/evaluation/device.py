"""Choose the device of a process and the precision that it computes in."""

import ctypes
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from models import native
from pipeline.core.openmp import check_threads
from pipeline.core.provenance import processor, vendor

MIXED = {"bf16": torch.bfloat16, "fp16": torch.float16}  # precisions with float32 weights: the type of their products
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of mallopt, as glibc's malloc.h names them


@dataclass(frozen=True)
class ComputeDevice:
    """The device of a process and the precision it computes in: bf16, fp16, float32 or float64."""

    device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of weights and images."""
        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def is_mixed(self) -> bool:
        """Tell whether products are computed in fewer bits than weights have."""
        return self.precision in MIXED

    def autocast(self) -> AbstractContextManager:
        """Make the context in which products are computed in the precision."""
        return torch.autocast(self.device.type, MIXED[self.precision]) if self.is_mixed else nullcontext()

    def scaler(self) -> torch.amp.GradScaler | None:
        """Make a scaler for fp16, in which small gradients would be 0; None for other precisions."""
        return torch.amp.GradScaler(self.device.type) if self.precision == "fp16" else None

    @property
    def name(self) -> str:
        """Return the model of the GPU, or of the processor."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else processor()

    @property
    def kernels(self) -> str:
        """Describe what computes neurons, norms and attention. A GPU uses no kernels of its processor, whichever those are."""
        description = native.describe()
        return description if self.device.type == "cpu" else f"{description.split(':')[0]}: unused on a GPU"


def resolve_precision(declared: str) -> str:
    """Resolve `auto`: bf16 where the device multiplies faster in it than in float32, else fp16 (with a scaler) on a GPU, else
    float32. Other precisions stay as declared.

    bf16 is faster on processors with AMX, and on AMD's with AVX512_BF16. Intel's without AMX have that flag too, and are slower
    in bf16 (tests/pipeline/evaluation/test_device.py measures both).
    """
    if declared != "auto":
        return declared
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    faster = torch.cpu._is_amx_tile_supported() or (torch.cpu._is_avx512_bf16_supported() and vendor() == "AuthenticAMD")
    return "bf16" if faster else "float32"


def open_device(declared_precision: str, threads: int) -> ComputeDevice:
    """Open the device of this process: a GPU of its own where there are several processes (pipeline.training.processes).

    Raises UserError where OpenMP may not compute on so many threads.
    """
    torch.set_num_threads(threads)
    check_threads(threads)
    keep_memory()
    if not torch.cuda.is_available():
        return ComputeDevice(torch.device("cpu"), resolve_precision(declared_precision))
    be_deterministic()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return ComputeDevice(device, resolve_precision(declared_precision))


def be_deterministic() -> None:
    """Make PyTorch compute the same bits from the same steps on a GPU; it warns of operations for which it can't.

    https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def keep_memory() -> None:
    """Keep freed memory in the process, where the C library is glibc.

    By default each large tensor is mapped from the system and given back, and its pages are cleared at every step: when a
    network trains on a processor, that costs more than its neurons do (`make bench` shows it).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
