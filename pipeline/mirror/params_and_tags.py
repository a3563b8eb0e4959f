"""Describe runs and evaluations to MLflow: parameters, tags, data set, and the run that they are nested under."""
# Tested in tests/workflow/test_results.py

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation, Run
from pipeline.campaign.titles import row_title, run_title
from pipeline.mirror.mlflow_run import Mirror


def run_mirror(campaign: Campaign, run: Run, start: dict) -> Mirror:
    """Make the mirror of a training; `start` is the first event of its record."""
    provenance = start["provenance"]
    params = common_params(run, run.options) | {f"network.{k}": v for k, v in run.network.items()}
    params |= {f"recipe.{k}": v for k, v in run.recipe.items()}
    params |= {"threads": run.threads, "parent": run.parent.id if run.parent else ""}
    params |= {"data.id": run.data.id, "precision": provenance["precision"], "device": provenance["device"]}
    params |= {f"version.{k}": v for k, v in provenance["versions"].items()}
    evaluation_names = {name for name, declared in campaign.experiment.evaluations.items() if declared.run == run.label}
    tags = tags_of(campaign, run, run.options, evaluation_names) | {"kind": "training", "label": run.label}
    git = provenance["git"]
    tags |= {"git.commit": git["commit"] or (f"unknown: {git['why']}" if "why" in git else "unknown")}
    return Mirror(campaign.experiment.scale, run.id, run_title(campaign.catalogue, run, run.options), params, tags, dataset(run))


def evaluation_mirror(campaign: Campaign, evaluation: Evaluation) -> Mirror:
    """Make the mirror of an evaluation, which is a run of its own in MLflow."""
    run = evaluation.run
    params = common_params(run, evaluation.options) | {"timesteps": evaluation.timesteps, "run": run.id}
    tags = tags_of(campaign, run, evaluation.options, {evaluation.name})
    kind = "probe" if evaluation.probe else "evaluation"
    tags |= {"kind": kind, "label": evaluation.name, "mlflow.runType": "evaluation"}
    if evaluation.probe:
        params |= {"probe": evaluation.probe} | {f"setting.{k}": v for k, v in evaluation.settings.items()}
    name = f"{f'probe {evaluation.probe}' if evaluation.probe else 'evaluation'}: {run_title(campaign.catalogue, run, evaluation.options)}"
    return Mirror(campaign.experiment.scale, evaluation.id, name, params, tags, dataset(run))


def common_params(run: Run, options: dict) -> dict:
    """Collect the parameters that trainings and evaluations have in common."""
    params = {"method": run.method, "seed": run.seed, "dataset": run.data.name, "architecture": run.architecture}
    return params | {"data.origin": run.data.origin} | {f"option.{k}": v for k, v in options.items()}


def tags_of(campaign: Campaign, run: Run, options: dict, evaluations: set[str]) -> dict[str, str]:
    """Collect the tags to filter and group by; `table1` names the rows that show one of these evaluations."""
    rows = [row_title(campaign, row) for row in campaign.experiment.table1 if row.evaluation in evaluations]
    tags = {"scale": campaign.experiment.scale, "dataset": run.data.name, "method": run.method, "seed": str(run.seed)}
    return tags | {"gamma": str(options.get("gamma", "")), "table1": "; ".join(rows)}


def dataset(run: Run) -> dict:
    """Describe the data set as MLflow's runs name their input."""
    return {"name": run.data.name, "digest": run.data.id.rsplit("-", 1)[1], "source_type": "local", "source": run.data.origin}
