"""Add named views of a campaign's runs to MLflow's pages."""
# Tested in tests/workflow/test_results.py

import json

from pipeline.campaign.campaign import Campaign
from pipeline.mirror.mlflow_store import CHECKOUT_TAG, experiment_of, open_client

VIEWS_SINCE = 1_790_000_000_000  # the date of a view, which MLflow asks for, in milliseconds since 1970; always the same
# Columns of the views that MLflow's pages offer, by the kind of run that they show
VIEWS = {
    "evaluation": {
        "metrics": ("accuracy", "average_tokens"),
        "params": ("dataset", "method", "option.gamma", "seed", "timesteps", "architecture"),
        "tags": (CHECKOUT_TAG, "table1"),
    },
    "training": {
        "metrics": ("test_accuracy", "heldout_accuracy", "average_tokens", "train_loss", "images_per_second"),
        "params": ("dataset", "method", "option.gamma", "seed", "recipe.epochs", "architecture", "device"),
        "tags": (CHECKOUT_TAG,),
    },
}


def add_views(campaign: Campaign) -> str:
    """Add named views of evaluations and of trainings, newest first. Returns the path of the first below MLflow's address.

    They show all checkouts beside each other, but no runs of versions that named no checkout: they may be here twice.
    The format is the one in which MLflow's own pages keep a shared view: an experiment tag, read by MLflow 3.17.
    """
    client = open_client()
    experiment = experiment_of(client, campaign.experiment.scale)
    for kind, fields in VIEWS.items():
        columns = [f"{field_kind}.`{name}`" for field_kind, names in fields.items() for name in names]
        state = {"selectedColumns": columns, "columnOrder": ["attributes.`Run Name`", *columns]}
        widths = dict.fromkeys(columns, 140) | {"attributes.`Run Name`": 400, "tags.`table1`": 500}
        state |= {
            "columnWidths": widths,
            "searchFilter": f"tags.kind = '{kind}' and tags.{CHECKOUT_TAG} != ''",
            "orderByAsc": False,
        }
        # MLflow nests runs under their campaign where they are sorted by time, and unfolds them if they are evaluations
        state["orderByKey"] = "attributes.start_time" if kind == "evaluation" else columns[0]
        view = {"name": f"{kind}s", "createdAt": VIEWS_SINCE, "updatedAt": VIEWS_SINCE, "state": json.dumps(state)}
        client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{kind}s", json.dumps(view))
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={next(iter(VIEWS))}s"
