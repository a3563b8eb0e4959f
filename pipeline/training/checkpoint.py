"""Save and restore checkpoints: complete or absent, and read without running any code they might hold."""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter

from pipeline.core.atomic_files import atomic_write
from pipeline.core.errors import UserError
from pipeline.core.record import check


@dataclass
class Position:
    """The progress of a training: everything besides weights, optimizer and scaler that the next step depends on."""

    epoch: Annotated[int, Field(ge=0)] = 0  # epochs completed
    step: Annotated[int, Field(ge=0)] = 0  # steps taken in the current epoch
    sums: dict[str, float] = field(default_factory=dict)  # of loss, ponder and times, over these steps
    record: str = ""  # the record's text up to here
    seconds: float = 0.0  # of training, over all attempts
    best: dict[str, float] = field(default_factory=dict)  # number and accuracy of the epoch that is best on the test set


def save_checkpoint(path: Path, run_id: str, position: Position, model, optimizer, scaler) -> None:
    """Write the state, its sha256 first, to a partial file, then rename it; the previous checkpoint stays as <path>.before.

    A kill at any moment leaves one of the two complete. So does a full disk, which raises OSError.
    """
    content = {"run": run_id, "position": vars(position), "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    content["scaler"] = scaler.state_dict() if scaler else None
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path, keep=before(path)) as file:
        file.write(hashlib.sha256(buffer.getbuffer()).hexdigest().encode() + b"\n")
        file.write(buffer.getbuffer())


def before(path: Path) -> Path:
    """Name the file of the checkpoint that was saved before the one at `path`."""
    return path.with_name(f"{path.name}.before")


class Damaged(Exception):
    """A checkpoint whose content is not what was written; the message says how."""


def restore_checkpoint(path: Path, run_id: str, model, optimizer, scaler, say=print) -> Position:
    """Load the last whole checkpoint into model, optimizer and scaler, and return its position.

    Returns the start where there is no checkpoint. `say` takes a line on each that is damaged. Raises UserError where all are
    damaged, and where the checkpoint belongs to another run or network.
    """
    damaged = []
    for candidate in filter(Path.exists, (path, before(path))):
        try:
            content = read_checkpoint(candidate)
        except Damaged as error:
            damaged.append(candidate)
            say(f"checkpoint {candidate} is damaged ({error})")
            continue
        if damaged:
            say(f"goes on from the one before, {candidate}")
            candidate = candidate.replace(path)  # else the next save would replace the only whole checkpoint
        return load_state(content, candidate, run_id, model, optimizer, scaler)
    if damaged:
        raise UserError(
            f"{' and '.join(map(str, damaged))}: damaged, and no other is left: delete to train {run_id} from the start"
        )
    return Position()


def read_checkpoint(path: Path) -> dict:
    """Read a checkpoint's content, checked against its sha256, without running code it might hold. Raises Damaged."""
    digest, _, state_bytes = path.read_bytes().partition(b"\n")
    if digest.decode(errors="replace") != hashlib.sha256(state_bytes).hexdigest():
        raise Damaged("its checksum is of other bytes")
    try:
        content = torch.load(io.BytesIO(state_bytes), map_location="cpu", weights_only=True)
    except Exception as error:  # a file that this program did not write can raise anything
        raise Damaged(type(error).__name__) from error
    if not isinstance(content, dict):
        raise Damaged("it holds no state")
    return content


def load_state(content: dict, path: Path, run_id: str, model, optimizer, scaler) -> Position:
    """Load a checkpoint's content into model, optimizer and scaler, and return its position; `path` is named in errors.

    Raises UserError where it belongs to another run, network or version.
    """
    if content.get("run") != run_id:
        raise UserError(
            f"checkpoint {path} belongs to run {content.get('run')}, not to {run_id}: delete it to train from the start"
        )
    try:
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        if scaler and content["scaler"]:
            scaler.load_state_dict(content["scaler"])
        position = Position(**content["position"])
        if TypeAdapter(Position).validate_python(content["position"]) != position:  # pydantic takes "3" epochs for 3
            raise TypeError("its position has values of other kinds")
        if position.record:
            check(position.record.splitlines(), path)
        return position
    except UserError:
        raise
    except Exception as error:  # a file that this program did not write can raise anything
        raise UserError(
            f"checkpoint {path} is of another network or version ({error}): delete it to train this run from the start"
        ) from error
