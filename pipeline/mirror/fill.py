"""What of a campaign stands in MLflow: every training and evaluation, nested under one run that has tables and figures.

python -m pipeline.tracking --scale smoke fills MLflow from the records.
"""

import json
import sys

import baselines
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import BACKBONES, Evaluation, Run
from pipeline.core import record as records
from pipeline.core.catalogue import discovered, method, method_options
from pipeline.core.errors import UserError
from pipeline.data.sources import sha256
from pipeline.mirror.mlflow_run import Mirror, campaign_run, experiment_of, flatten, open_client, unreachable

VIEWS_SINCE = 1_790_000_000_000  # a date that MLflow asks for, in milliseconds; always the same
# Columns of the views that MLflow's pages offer, by the kind of run that they show
VIEWS = {
    "evaluation": {
        "metrics": ("accuracy", "average_tokens"),
        "params": ("dataset", "method", "option.gamma", "seed", "timesteps", "architecture"),
        "tags": ("table1",),
    },
    "training": {
        "metrics": ("test_accuracy", "heldout_accuracy", "average_tokens", "train_loss", "images_per_second"),
        "params": ("dataset", "method", "option.gamma", "seed", "recipe.epochs", "architecture", "device"),
    },
}


def run_mirror(campaign: Campaign, run: Run, start: dict) -> Mirror:
    """The mirror of a training; `start` is the first event of its record."""
    made = start["provenance"]
    params = common_params(run, run.options) | {f"network.{k}": v for k, v in run.network.items()}
    params |= {f"recipe.{k}": v for k, v in run.recipe.items()}
    params |= {"threads": run.threads, "parent": run.parent.id if run.parent else ""}
    params |= {"data.id": run.data.id, "precision": made["precision"], "device": made["device"]}
    params |= {f"version.{k}": v for k, v in made["versions"].items()}
    named = {name for name, declared in campaign.experiment.evaluations.items() if declared.run == run.label}
    tags = tags_of(campaign, run, run.options, named) | {"kind": "training", "label": run.label}
    tags |= {"git.commit": made["git"]["commit"] or "unknown"}
    return Mirror(campaign.experiment.scale, run.id, title(run, run.options), params, tags, dataset(run))


def evaluation_mirror(campaign: Campaign, evaluation: Evaluation) -> Mirror:
    """The mirror of an evaluation, a run of its own in MLflow."""
    run = evaluation.run
    params = common_params(run, evaluation.options) | {"timesteps": evaluation.timesteps, "run": run.id}
    tags = tags_of(campaign, run, evaluation.options, {evaluation.name})
    kind = "probe" if evaluation.probe else "evaluation"
    tags |= {"kind": kind, "label": evaluation.name, "mlflow.runType": "evaluation"}
    if evaluation.probe:
        params |= {"probe": evaluation.probe} | {f"setting.{k}": v for k, v in evaluation.settings.items()}
    name = f"{f'probe {evaluation.probe}' if evaluation.probe else 'evaluation'}: {title(run, evaluation.options)}"
    return Mirror(campaign.experiment.scale, evaluation.id, name, params, tags, dataset(run))


def common_params(run: Run, options: dict) -> dict:
    params = {"method": run.method, "seed": run.seed, "dataset": run.data.name, "architecture": run.architecture}
    return params | {"data.origin": run.data.origin} | {f"option.{k}": v for k, v in options.items()}


def tags_of(campaign: Campaign, run: Run, options: dict, evaluations: set[str]) -> dict[str, str]:
    """What users filter and group by; `table1` has the rows that show one of these evaluations."""
    rows = [row_name(campaign, row) for row in campaign.experiment.table1 if row.evaluation in evaluations]
    tags = {"scale": campaign.experiment.scale, "dataset": run.data.name, "method": run.method, "seed": str(run.seed)}
    return tags | {"gamma": str(options.get("gamma", "")), "table1": "; ".join(rows)}


def row_name(campaign: Campaign, row) -> str:
    evaluation = campaign.named(row.evaluation)[0]
    at = f"exit {row.exit}" if row.exit else f"T {row.timesteps or evaluation.timesteps}"
    return f"{title(evaluation.run, evaluation.options, seed=False)}, {at}"


def title(run: Run, options: dict, seed: bool = True) -> str:
    name = discovered("pipeline.data.datasets", run.data.name, "dataset").TITLE
    backbone = "" if run.network["backbone"] == "spikformer" else f" {BACKBONES[run.network['backbone']]}"
    shown = f"{name}{backbone} {baselines.label(method(run.method).TITLE, method_options(run.method, options))}"
    return f"{shown}, seed {run.seed}" if seed else shown


def dataset(run: Run) -> dict:
    """The data set as MLflow's runs name their input."""
    return {"name": run.data.name, "digest": run.data.id.rsplit("-", 1)[1], "source_type": "local", "source": run.data.origin}


def results_of(campaign: Campaign, run: Run) -> dict:
    """The results file of a run's evaluations."""
    return records.read_sealed(campaign.results_file(run), "weights_sha256", "evaluations")


def record_of(campaign: Campaign, run: Run) -> list[dict]:
    """A run's record. Raises UserError where it is not the one that the run ended with."""
    path, done = (campaign.run_folder(run) / name for name in ("record.jsonl", "done.json"))
    entries = records.read(path)
    if done.exists() and records.read_json(done, "record_sha256")["record_sha256"] != sha256(path):
        raise UserError(
            f"{path} is not the record that run {run.id} ended with: delete it, and it is restored from the checkpoint"
        )
    return entries


def evaluation_entries(campaign: Campaign, evaluation: Evaluation) -> list[dict]:
    """An evaluation as the only event of a record."""
    content = results_of(campaign, evaluation.run)
    try:
        found = content["evaluations"][evaluation.name]
        entry = {"event": "end", "time": float(found["time"]), "metrics": found["metrics"], "warnings": found.get("warnings", [])}
        if not all(isinstance(text, str) for text in entry["warnings"]):
            raise TypeError("warnings that are no text")
        if not evaluation.probe:
            flatten(entry["metrics"])["accuracy"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        path = campaign.results_file(evaluation.run)
        raise UserError(f"{path} lacks the numbers of {evaluation.name} ({error!r}): delete it, and it is made again") from error
    return [entry]


def fill(campaign: Campaign) -> int:
    """Bring MLflow up to date with every record and evaluation there is; returns how many there are."""
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


def add_views(campaign: Campaign) -> str:
    """Named views of evaluations and of trainings, newest first; returns the first one's place below MLflow's address.

    The format is the one in which MLflow's own pages keep a shared view: an experiment tag, read by MLflow 3.17.
    """
    client = open_client()
    experiment = experiment_of(client, campaign.experiment.scale)
    for kind, shown in VIEWS.items():
        columns = [f"{place}.`{name}`" for place, names in shown.items() for name in names]
        state = {"selectedColumns": columns, "columnOrder": ["attributes.`Run Name`", *columns]}
        widths = dict.fromkeys(columns, 140) | {"attributes.`Run Name`": 400, "tags.`table1`": 500}
        state |= {"columnWidths": widths, "searchFilter": f"tags.kind = '{kind}'", "orderByAsc": False}
        # Runs stand nested under their campaign where they are sorted by time, and unfolded if they are evaluations
        state["orderByKey"] = "attributes.start_time" if kind == "evaluation" else columns[0]
        view = {"name": f"{kind}s", "createdAt": VIEWS_SINCE, "updatedAt": VIEWS_SINCE, "state": json.dumps(state)}
        client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{kind}s", json.dumps(view))
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={next(iter(VIEWS))}s"


def show_products(campaign: Campaign) -> None:
    """Tables, figures and report as artifacts of the campaign's run. A store that is away is a line, no failure."""
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
        print(f"tracking: {unreachable(error)}", file=sys.stderr)


def fill_and_show(campaign: Campaign, address: str) -> str:
    """`fill`, then add the views; in words, how much MLflow holds and where its pages show it."""
    try:
        count, place = fill(campaign), add_views(campaign)
    except UserError:
        raise
    except Exception as error:
        raise unreachable(error) from error
    return f"MLflow holds {count} records of scale {campaign.experiment.scale}: {address}/{place}"
