"""Record what a product was made from (runs, evaluations, and the files it was read from with their sha256), and check it."""
# Tested in tests/workflow/test_freshness.py

from functools import cache
from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.core import atomic_files
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError


def mark_made(campaign: Campaign, product: str) -> None:
    """Write the file that lists what a product was made from, and delete those of earlier sets."""
    path = campaign.made_from(product)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{product}-*.json"):
        old.unlink()
    content = {"product": product, "runs": [run.id for run in campaign.runs], "evaluations": [e.id for e in campaign.evaluations]}
    content["inputs"] = {name: sha256(Path(name)) for name in campaign.inputs_of(product) if Path(name).exists()}
    atomic_files.replace_json(path, content)


@cache
def is_settled(campaign: Campaign, product: str) -> bool:
    """Check that a product, and each product it was made from, was made from exactly the bytes that are here.

    Git or DVC may have written some of them after it: only files that are newer than it are hashed, and once
    a process, as the graph of jobs is built from what is there when it begins.
    """
    path, inputs = campaign.made_from(product), [Path(name) for name in campaign.inputs_of(product)]
    products = {campaign.made_from(name): name for name in ("tables", *campaign.experiment.figures, "claims")}
    if not path.exists() or not all(file.exists() for file in inputs):
        return False
    if not all(is_settled(campaign, products[file]) for file in inputs if file in products):
        return False
    try:
        checksums = atomic_files.read_json(path, "inputs")["inputs"]
        newer = [file for file in inputs if file.stat().st_mtime_ns > path.stat().st_mtime_ns]
        return all(checksums.get(str(file)) == sha256(file) for file in newer)
    except (UserError, AttributeError, OSError):
        return False  # the file is damaged, or dates from before it listed inputs: the product is made again
