"""Checkpoints and final weights: complete or absent, and read without running any code they might hold."""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter

from pipeline.core.atomic_files import written
from pipeline.core.errors import UserError
from pipeline.core.record import check


@dataclass
class Position:
    """Where a training stands: everything besides weights, optimizer and scaler that the next step depends on."""

    epoch: Annotated[int, Field(ge=0)] = 0  # epochs completed
    step: Annotated[int, Field(ge=0)] = 0  # steps taken in the next one
    sums: dict[str, float] = field(default_factory=dict)  # over those steps
    record: str = ""  # the record's text up to here
    seconds: float = 0.0  # of training, over all attempts
    best: dict[str, float] = field(default_factory=dict)  # the epoch that is best on the test set


def save_checkpoint(path: Path, run_id: str, position: Position, model, optimizer, scaler) -> None:
    """The state behind its own sha256, beside its place, then renamed; the checkpoint of before stays as <path>.before.

    A kill at any moment leaves one of the two complete, and so does a full disk: OSError.
    """
    content = {"run": run_id, "position": vars(position), "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    content["scaler"] = scaler.state_dict() if scaler else None
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with written(path, keep=before(path)) as file:
        file.write(hashlib.sha256(buffer.getbuffer()).hexdigest().encode() + b"\n")
        file.write(buffer.getbuffer())


def before(path: Path) -> Path:
    """Where the checkpoint of before a checkpoint is."""
    return path.with_name(f"{path.name}.before")


class Damaged(Exception):
    """A checkpoint is not what was written; says how."""


def restore_checkpoint(path: Path, run_id: str, model, optimizer, scaler, say=print) -> Position:
    """The position of the last checkpoint that is whole, with its state put into model, optimizer and scaler.

    The start where there is none. `say` takes a line on each that is damaged. Raises UserError where all are, and for one
    of another run or network.
    """
    damaged = []
    for place in filter(Path.exists, (path, before(path))):
        try:
            content = read_checkpoint(place)
        except Damaged as error:
            damaged.append(place)
            say(f"checkpoint {place} is damaged ({error})")
            continue
        if damaged:
            say(f"goes on from the one before, {place}")
            place = place.replace(path)  # or the next one would take the place of the only one that is whole
        return put_back(content, place, run_id, model, optimizer, scaler)
    if damaged:
        raise UserError(
            f"{' and '.join(map(str, damaged))}: damaged, and no other is left: delete to train {run_id} from the start"
        )
    return Position()


def read_checkpoint(path: Path) -> dict:
    """Its content, as the checksum before it says that it was written. Runs no code that it might hold."""
    digest, _, content = path.read_bytes().partition(b"\n")
    if digest.decode(errors="replace") != hashlib.sha256(content).hexdigest():
        raise Damaged("its checksum is of other bytes")
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # what was never written by us can raise anything
        raise Damaged(type(error).__name__) from error
    if not isinstance(found, dict):
        raise Damaged("it holds no state")
    return found


def put_back(content: dict, path: Path, run_id: str, model, optimizer, scaler) -> Position:
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
        if TypeAdapter(Position).validate_python(content["position"]) != position:  # "3" epochs would be 3
            raise TypeError("its position has values of other kinds")
        if position.record:
            check(position.record.splitlines(), path)
        return position
    except UserError:
        raise
    except Exception as error:  # what was never written by us can raise anything
        raise UserError(
            f"checkpoint {path} is of another network or version ({error}): delete it to train this run from the start"
        ) from error
