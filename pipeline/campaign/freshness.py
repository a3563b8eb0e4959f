"""Record what a product was made from (runs, evaluations, and the files it was read from with their sha256), and check it."""
# Tested in tests/workflow/test_freshness.py

from functools import cache
from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.campaign.published_weights import FOLDER
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
    a process, as the graph of jobs is built from what is there when it begins. What git doesn't hold of a published campaign may be
    missing, as long as nothing is to be made of it.
    """
    path, inputs = campaign.made_from(product), [Path(name) for name in campaign.inputs_of(product)]
    products = {campaign.made_from(name): name for name in campaign.products}
    missing = {str(file) for file in inputs if not file.exists()}
    if not path.exists() or not missing <= left_out_by_git(campaign):
        return False
    if not all(is_settled(campaign, products[file]) for file in inputs if file in products):
        return False
    try:
        checksums = atomic_files.read_json(path, "inputs")["inputs"]
        newer = [file for file in inputs if file.exists() and file.stat().st_mtime_ns > path.stat().st_mtime_ns]
        return missing <= checksums.keys() and all(checksums.get(str(file)) == sha256(file) for file in newer)
    except (UserError, AttributeError, OSError):
        return False  # the file is damaged, or dates from before it listed inputs: the product is made again


@cache
def left_out_by_git(campaign: Campaign) -> set[str]:
    """List the arrays and prepared data that git doesn't hold, of runs whose weights are published and whose results are here."""
    published = [
        run
        for run in campaign.measured_runs
        if (campaign.folder / FOLDER / f"{run.id}.safetensors").exists() and campaign.results_file(run).exists()
    ]
    return {str(path) for run in published for path in (campaign.arrays_file(run), run.data.folder / "meta.json")}


def targets(campaign: Campaign) -> list[str]:
    """List every file that the workflow makes for a campaign, but for arrays that a clone of a published one lacks.

    Arrays are made with results that git holds, which would be made again with them. So they are, as soon as something is to be made
    of them: a figure that is missing, or was made from other files.
    """
    arrays = {str(campaign.arrays_file(run)) for run in campaign.measured_runs if is_complete_without_arrays(campaign, run)}
    return [file for file in campaign.targets() if file not in arrays]


def evaluation_inputs(campaign: Campaign, measured_set: str) -> list[str]:
    """List the files that a run's evaluations start from; of those whose arrays nothing needs, just the weights."""
    run = campaign.find_measured(measured_set)
    if is_complete_without_arrays(campaign, run):
        return [str(campaign.weights_file(run))]
    return campaign.evaluation_inputs(measured_set)


def is_complete_without_arrays(campaign: Campaign, run: Run) -> bool:
    """Tell whether a run's arrays are missing, as git doesn't hold them, and nothing is to be made of them."""
    is_missing = is_left_out(campaign, str(campaign.arrays_file(run)))
    return is_missing and all(is_settled(campaign, product) for product in campaign.products)


def is_left_out(campaign: Campaign, file: str) -> bool:
    """Tell whether a file is missing that git doesn't hold."""
    return file in left_out_by_git(campaign) and not Path(file).exists()


def inputs_here(campaign: Campaign, product: str) -> list[str]:
    """List the inputs of a settled product that are here: it needs none of the others."""
    return [file for file in campaign.inputs_of(product) if not is_left_out(campaign, file)]
