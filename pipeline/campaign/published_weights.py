"""Publish final weights of small networks in git, and restore them from there.

The command is pipeline.published, whose text says how it is used and by which rules.
"""
# Tested in tests/workflow/test_published.py

from pathlib import Path

from pipeline.core.atomic_files import read_json, replace
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.core.paths import RESULTS

FOLDER = "published"
WEIGHTS = "final.safetensors"


def publish(folder: Path) -> int:
    """Publish the weights of each finished run in a scale's folder; those published before stay. Returns how many it published.

    Raises UserError where there are none, or a file is not what its run ended with.
    """
    finished = [(weights, done) for weights, done in finished_weights(folder) if weights.exists()]
    if not finished:
        raise UserError(f"{folder} has no finished run with weights: make reproduce SCALE={folder.name} trains them")
    for weights, done in finished:
        if sha256(weights) != done["weights_sha256"]:
            raise UserError(f"{weights} is not what its run ended with (another sha256): delete it, and its run makes it again")
        replace(folder / FOLDER / f"{weights.parent.name}.safetensors", weights.read_bytes())
    return len(finished)


def restore(folder: Path) -> int:
    """Copy published weights of a scale's folder to where its runs lack theirs. Returns how many it copied.

    Raises UserError where a published file is not what its run ended with.
    """
    count = 0
    for weights, done in finished_weights(folder):
        published = folder / FOLDER / f"{weights.parent.name}.safetensors"
        if published.exists() and not weights.exists():
            if sha256(published) != done["weights_sha256"]:
                raise UserError(f"{published} is not what its run ended with (another sha256): git checkout brings it back")
            replace(weights, published.read_bytes())
            count += 1
    return count


def finished_weights(folder: Path) -> list[tuple[Path, dict]]:
    """List, for each finished run of a scale, the path that its weights belong at and the content of its done.json."""
    done_files = sorted(folder.glob("runs/*/done.json"))
    return [(folder / "weights" / path.parent.name / WEIGHTS, read_json(path, "weights_sha256")) for path in done_files]


def publish_scale(scale: str) -> list[str]:
    """`publish` the weights of a scale. Returns one line about it."""
    return [f"{RESULTS / scale / FOLDER}: the weights of {publish(RESULTS / scale)} runs"]


def restore_all() -> list[str]:
    """`restore` the published weights of every scale. Returns a line for each scale that had some missing."""
    folders = sorted(path.parent for path in RESULTS.glob(f"*/{FOLDER}"))
    return [f"{folder / 'weights'}: the published weights of {count} runs" for folder in folders if (count := restore(folder))]
