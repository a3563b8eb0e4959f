"""The file that says from what a product was made: runs, evaluations, and the files it was read from with their sha256."""

from functools import cache
from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.core import atomic_files
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError


def mark_made(campaign: Campaign, product: str) -> None:
    """Leave the file that says what a product was made from, and drop those of earlier sets."""
    path = campaign.made_from(product)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{product}-*.json"):
        old.unlink()
    made = {"product": product, "runs": [run.id for run in campaign.runs], "evaluations": [e.id for e in campaign.evaluations]}
    made["inputs"] = {name: sha256(Path(name)) for name in campaign.inputs_of(product) if Path(name).exists()}
    atomic_files.replace_json(path, made)


@cache
def is_settled(campaign: Campaign, product: str) -> bool:
    """Whether a product was made from just the bytes that are here, though git or DVC wrote some of them after it, and so was
    each product that it was made from. Only files that are newer than it are looked into,
    once a process: a graph is drawn up from what is there when it begins.
    """
    path, inputs = campaign.made_from(product), [Path(name) for name in campaign.inputs_of(product)]
    others = {campaign.made_from(name): name for name in ("tables", *campaign.experiment.figures, "claims")}
    if not path.exists() or not all(file.exists() for file in inputs):
        return False
    if not all(is_settled(campaign, others[file]) for file in inputs if file in others):
        return False
    try:
        known = atomic_files.read_json(path, "inputs")["inputs"]
        newer = [file for file in inputs if file.stat().st_mtime_ns > path.stat().st_mtime_ns]
        return all(known.get(str(file)) == sha256(file) for file in newer)
    except (UserError, AttributeError, OSError):
        return False  # it was made before such files were named, or is damaged: made again
