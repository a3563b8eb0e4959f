"""Fill MLflow with a campaign: every training and evaluation, nested under one run that has tables and figures.

The command is pipeline.tracking, whose text says how it is used and by which rules.
"""
# Tested in tests/workflow/test_results.py

import sys

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.recorded import evaluation_entries, record_of
from pipeline.core.redaction import redact
from pipeline.mirror.checkout import checkout_id
from pipeline.mirror.mlflow_store import campaign_run, experiment_of, open_client
from pipeline.mirror.params_and_tags import evaluation_mirror, run_mirror
from pipeline.mirror.store_address import is_server, tracking_address
from pipeline.mirror.store_failures import store_failure
from pipeline.mirror.views import add_views


def fill(campaign: Campaign) -> int:
    """Push every record and evaluation there is to MLflow. Returns how many there are."""
    count = 0
    for run in campaign.runs:
        path = campaign.run_folder(run) / "record.jsonl"
        if path.exists():
            entries = record_of(campaign, run)
            run_mirror(campaign, run, entries[0]).push(entries)
            count += 1
    for evaluation in campaign.evaluations:
        if campaign.results_file(evaluation.run).exists():
            evaluation_mirror(campaign, evaluation).push(evaluation_entries(campaign, evaluation))
            count += 1
    return count


def show_products(campaign: Campaign) -> None:
    """Upload tables, figures and report as artifacts of the campaign's run. A store that fails costs a warning line, no error."""
    try:
        client = open_client()
        run_id = campaign_run(client, experiment_of(client, campaign.experiment.scale), campaign.experiment.scale)
        for name in ("tables", "figures"):
            if (campaign.folder / name).is_dir():
                client.log_artifacts(run_id, str(campaign.folder / name), name)
        client.log_artifact(run_id, str(campaign.folder / "report.html"))
        client.set_terminated(run_id, "FINISHED")
        add_views(campaign)
    except Exception as error:  # a store can fail in any way
        print(f"tracking: {store_failure(error)}", file=sys.stderr)


def fill_and_show(campaign: Campaign, address: str | None) -> str:
    """`fill` MLflow and add the views. Returns a line that says how much MLflow holds, and the address of its page.

    `address`: where MLflow's pages are shown, without one the server's that MLFLOW_TRACKING_URI names.
    """
    try:
        count, page = fill(campaign), add_views(campaign)
    except Exception as error:  # a store can fail in any way
        raise store_failure(error) from error
    reason = "" if count else f" ({why_none(campaign)})"
    line = f"MLflow holds {count} records of scale {campaign.experiment.scale} of this checkout, {checkout_id()}{reason}: "
    if address is None and tracking_address() and not is_server():
        return (
            f'{line}MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" .venv/bin/mlflow ui shows them, at its address with /{page}'
        )
    address = address or tracking_address() or "http://127.0.0.1:5000"
    return f"{line}{redact(address, address).rstrip('/')}/{page}"


def why_none(campaign: Campaign) -> str:
    """Say why a campaign has no record, and what to do where there are records of other images."""
    others = len(list(campaign.folder.glob("runs/*/record.jsonl")))
    if not others:
        return "nothing was trained here yet"
    return f"the {others} here are of other images or another declaration; name their images' folder with ATSNN_DATA or --data"
