"""Final weights that a scale keeps in git: results/<scale>/published/<run>.safetensors, for campaigns whose networks are small.

python -m pipeline.published --scale laptop puts the weights of every finished run there; without a scale, what lies there is put
where the graph looks for it, unless the run has weights of its own: so a clone trains nothing again. DVC keeps weights/
and can't share a folder with git, hence the second place.
"""

from pathlib import Path

from pipeline.core.atomic_files import read_json, replace
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.core.paths import RESULTS

FOLDER = "published"
WEIGHTS = "final.safetensors"


def publish(folder: Path) -> int:
    """Of a scale's folder: each finished run's weights beside those that are published already; returns how many there are."""
    found = [(place, done) for place, done in finished(folder) if place.exists()]
    if not found:
        raise UserError(f"{folder} has no finished run with weights: make reproduce SCALE={folder.name} trains them")
    for place, done in found:
        if sha256(place) != done["weights_sha256"]:
            raise UserError(f"{place} is not what its run ended with (another sha256): delete it, and its run makes it again")
        replace(folder / FOLDER / f"{place.parent.name}.safetensors", place.read_bytes())
    return len(found)


def restore(folder: Path) -> int:
    """Of a scale's folder: published weights to where runs keep theirs, where those are missing; returns how many."""
    count = 0
    for place, done in finished(folder):
        kept = folder / FOLDER / f"{place.parent.name}.safetensors"
        if kept.exists() and not place.exists():
            if sha256(kept) != done["weights_sha256"]:
                raise UserError(f"{kept} is not what its run ended with (another sha256): git checkout brings it back")
            replace(place, kept.read_bytes())
            count += 1
    return count


def finished(folder: Path) -> list[tuple[Path, dict]]:
    """Where the weights of each finished run of a scale belong, and what its done.json says."""
    done = sorted(folder.glob("runs/*/done.json"))
    return [(folder / "weights" / path.parent.name / WEIGHTS, read_json(path, "weights_sha256")) for path in done]


def publish_scale(scale: str) -> list[str]:
    """`publish` the weights of a scale; a line on it."""
    return [f"{RESULTS / scale / FOLDER}: the weights of {publish(RESULTS / scale)} runs"]


def restore_all() -> list[str]:
    """`restore` the published weights of every scale; a line for each that had some missing."""
    folders = sorted(place.parent for place in RESULTS.glob(f"*/{FOLDER}"))
    return [f"{folder / 'weights'}: the published weights of {count} runs" for folder in folders if (count := restore(folder))]
