"""Checkpoints and final weights: complete or absent, and read without running any code they might hold."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import UserError


@dataclass
class Position:
    """Where a training stands: everything besides weights, optimizer and scaler that the next step depends on."""

    epoch: int = 0  # epochs completed
    step: int = 0  # steps taken in the next one
    sums: dict[str, float] = field(default_factory=dict)  # over those steps
    record: str = ""  # the record's text up to here
    seconds: float = 0.0  # of training, over all attempts
    best: dict[str, float] = field(default_factory=dict)  # the epoch that is best on the test set


def save_checkpoint(path: Path, run_id: str, position: Position, model, optimizer, scaler) -> None:
    """Write beside its place, then rename, so that a kill leaves the last complete one."""
    content = {"run": run_id, "position": vars(position), "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    content["scaler"] = scaler.state_dict() if scaler else None
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def restore_checkpoint(path: Path, run_id: str, model, optimizer, scaler) -> Position:
    """The position of a checkpoint, with its state put into model, optimizer and scaler; the start where there is none."""
    if not path.exists():
        return Position()
    remedy = "delete it to train this run from the start"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"checkpoint {path} can't be read ({type(error).__name__}): {remedy}") from error
    if content.get("run") != run_id:
        raise UserError(f"checkpoint {path} belongs to run {content.get('run')}, not to {run_id}: {remedy}")
    try:
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        if scaler and content["scaler"]:
            scaler.load_state_dict(content["scaler"])
        return Position(**content["position"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"checkpoint {path} is of another network or version ({error}): {remedy}") from error


def save_weights(path: Path, tensors: dict[str, Tensor], run_id: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({name: x.detach().cpu().contiguous() for name, x in tensors.items()}, partial, metadata={"run": run_id})
    os.replace(partial, path)


def load_weights(path: Path, model: torch.nn.Module, run_id: str) -> None:
    """Final weights into a backbone. Raises UserError where they belong to another run or network."""
    remedy = "delete it, and its run makes it again"
    if not path.exists():
        raise UserError(f"{path} is missing: run {run_id} is not trained yet, train it first")
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
