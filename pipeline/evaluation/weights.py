"""Save and load a run's final weights, complete or absent."""
# Tested in tests/pipeline/training/test_checkpoint.py

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors
from torch import Tensor

from pipeline.core.atomic_files import atomic_write
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError


def save_weights(path: Path, tensors: dict[str, Tensor], run_id: str) -> None:
    """Write a run's final weights, the whole file or nothing. Raises OSError where they can't be written."""
    content = safetensors({name: x.detach().cpu().contiguous() for name, x in tensors.items()}, metadata={"run": run_id})
    with atomic_write(path) as file:
        file.write(content)


def load_weights(path: Path, model: torch.nn.Module, run_id: str, digest: str | None = None) -> None:
    """Load final weights into a backbone. Raises UserError where they are missing or can't be read, belong to another run or
    network, or have another sha256 than `digest`.
    """
    remedy = "delete it, and its run makes it again"
    if not path.exists():
        raise UserError(f"{path} is missing: run {run_id} is not trained yet, train it first")
    if digest is not None and sha256(path) != digest:
        raise UserError(f"weights {path} are not those that run {run_id} ended with (another sha256): {remedy}")
    try:
        with safe_open(path, "pt") as file:
            owner = (file.metadata() or {}).get("run")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"weights {path} can't be read ({error}): {remedy}") from error
    if owner != run_id:
        raise UserError(f"weights {path} belong to run {owner}, not to {run_id}: {remedy}")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"weights {path} are of another network ({error}): {remedy}") from error
