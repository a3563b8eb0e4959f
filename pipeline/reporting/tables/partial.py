"""Write the tables of a campaign of which runs are missing, with what they lack.

The command is pipeline.partial, whose text says how it is used and by which rules.
"""
# Tested in tests/workflow/test_partial.py

from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.campaign.recorded import flatten, weights_differ
from pipeline.core import atomic_files
from pipeline.core.errors import UserError
from pipeline.reporting.tables.aggregate import table_texts
from pipeline.reporting.tables.readings import readings
from pipeline.reporting.tables.table1 import table1


def partial(campaign: Campaign) -> str:
    """Write the tables of the evaluations that are there; return a text that says what is missing and where the tables are.

    Raises UserError where there is no evaluation.
    """
    campaign = campaign.without({run.id: why for run in campaign.measured_runs if (why := missing(campaign, run))})
    if not any(not e.probe for e in campaign.evaluations):
        raise UserError(
            f"no evaluation of scale {campaign.experiment.scale} is there: run snakemake, or train and evaluate first"
        )
    entries = {e.id: recorded.evaluation_entries(campaign, e)[-1] for e in campaign.evaluations}
    metrics = {name: flatten(entry["metrics"]) for name, entry in entries.items()}
    rows = readings(campaign, metrics, {name: entry["warnings"] for name, entry in entries.items()})
    table = table1(campaign, rows)
    texts = table_texts(campaign, rows, table)
    texts["table1.md"] += f"\n{lacking(campaign)}\n"
    for name, text in texts.items():
        atomic_files.replace(campaign.folder / "partial" / name, text)
    return f"{lacking(campaign)}\nThe table of the others: {campaign.folder / 'partial' / 'table1.md'}"


def missing(campaign: Campaign, run: Run) -> str:
    """Say why the evaluations of a run are missing; nothing where they are there."""
    folder = campaign.run_folder(run)
    if run.parent and (why := missing(campaign, run.parent) if not (folder / "done.json").exists() else ""):
        return f"its parent {run.parent.id} is: {why}"
    try:
        if (folder / "failed.json").exists():
            return f"it failed: {atomic_files.read_json(folder / 'failed.json', 'reason')['reason']}"
        if not (folder / "done.json").exists():
            begun = (campaign.weights_folder(run) / "checkpoint.pt").exists()
            return "its training is not finished" if begun else "it is not trained"
        recorded.record_of(campaign, run)
        evaluations = campaign.evaluations_of(run)
        if evaluations and not campaign.results_file(run).exists():
            return "it is not evaluated"
        for evaluation in evaluations:
            recorded.evaluation_entries(campaign, evaluation)
        return weights_differ(campaign, run) if evaluations else ""
    except UserError as error:
        return str(error)


def lacking(campaign: Campaign) -> str:
    """List the missing runs, a line each."""
    lines = [f"- {name}: {why}" for name, why in campaign.missing.items()]
    return "\n".join([f"Missing, {len(lines)} of {len(campaign.runs)} runs:", "", *lines])
