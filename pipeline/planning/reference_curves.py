"""Keep the curves of finished trainings, epoch by epoch, and compare a new training with those of its kind.

The command is pipeline.reference, whose text says how it is used and by which rules.
"""
# Tested in tests/workflow/test_published.py

import math
from dataclasses import MISSING, fields
from pathlib import Path

import pandas as pd
import yaml

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import NUMERICS, Run
from pipeline.campaign.titles import data_title, method_title
from pipeline.core import atomic_files
from pipeline.core import record as records
from pipeline.core.catalogue import Catalogue
from pipeline.core.checksums import digest
from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.data.identity import Data

CURVES = ROOT / "baselines" / "reference_curves.csv"
DEVIATIONS = 4.0
METRICS = ("train_loss", "heldout_accuracy", "average_tokens")
LEAST_DEVIATION = {"train_loss": 0.01, "average_tokens": 0.005}  # smallest deviation between seeds that is assumed
HELDOUT_IMAGES = 1000  # their number limits how precisely an accuracy is known
METRIC_RANGES = {"train_loss": (0, math.inf), "heldout_accuracy": (0, 100), "average_tokens": (0, 1)}
METRIC_FORMATS = {
    "train_loss": ("training loss", "{:.3f}"),
    "heldout_accuracy": ("held-out accuracy (%)", "{:.1f}"),
    "average_tokens": ("average tokens", "{:.3f}"),
}
COLUMNS = ["scale", "kind", "title", "dataset", "architecture", "epoch", "metric", "mean", "deviation", "n", "runs", "numerics"]


def kind_of(run: Run) -> dict:
    """Collect what two runs of one kind share: all that is declared of them and of what they start from, except the seed."""
    declared = {key: run.identity[key] for key in ("method", "options", "network", "recipe")}
    data = {"name": run.data.name, "train": run.data.train}
    return declared | {"data": data, "parent": kind_of(run.parent) if run.parent else None}


def epochs_of(entries: list[dict]) -> dict[int, dict]:
    """Collect the metrics of each epoch of a training, of those that a reference has."""
    epoch_entries = (entry for entry in entries if entry["event"] == "epoch" and entry["epoch"] > 0)
    return {e["epoch"]: {key: x for key in METRICS if isinstance(x := e["metrics"].get(key), int | float)} for e in epoch_entries}


def curves(campaign: Campaign) -> pd.DataFrame:
    """Tabulate a campaign's finished trainings: a row per kind, epoch and metric.

    Raises UserError where no training is finished, or no kind has two seeds.
    """
    rows = []
    for run in campaign.runs:
        if (campaign.run_folder(run) / "done.json").exists():
            about = {
                "kind": digest(kind_of(run)),
                "title": method_title(campaign.catalogue, run.method, run.options),
                "dataset": run.data.name,
            }
            about |= {"architecture": run.architecture, "run": run.id}
            metrics_of_epoch = epochs_of(records.read(campaign.run_folder(run) / "record.jsonl"))
            rows += [
                about | {"epoch": epoch, "metric": key, "value": value}
                for epoch, metrics in metrics_of_epoch.items()
                for key, value in metrics.items()
            ]
    if not rows:
        raise UserError(f"scale {campaign.experiment.scale} has no finished training: make reproduce SCALE=... trains it")
    keys = ["kind", "title", "dataset", "architecture", "epoch", "metric"]
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)
    table = grouped.agg(mean=("value", "mean"), variance=("value", "var"), n=("value", "count"), runs=("run", " ".join))
    table = table.reset_index()
    pooled = table[table.n > 1].groupby(["metric", "epoch"]).apply(pool, include_groups=False)
    if pooled.empty:
        raise UserError(
            f"scale {campaign.experiment.scale}: no kind of training has two finished seeds, so nothing tells a spread"
        )
    shared_deviation = pd.Series([pooled.get((row.metric, row.epoch)) for row in table.itertuples()])
    has_own_deviation = (table.metric == "average_tokens") & (table.n > 1)
    table["deviation"] = table.variance.pow(0.5).where(has_own_deviation, shared_deviation)
    table["scale"], table["numerics"] = campaign.experiment.scale, NUMERICS
    return table.dropna(subset="deviation")[COLUMNS].round({"mean": 6, "deviation": 6})


def pool(samples: pd.DataFrame) -> float:
    """Compute the standard deviation that several samples of one spread have together: sqrt(sum (n - 1) s^2 / sum (n - 1))."""
    return math.sqrt((samples.variance * (samples.n - 1)).sum() / (samples.n - 1).sum())


def keep(campaign: Campaign) -> str:
    """Write the scale's rows in place of those that it had; returns in words how many kinds of training they are of."""
    scale_curves = curves(campaign)
    other_curves = pd.read_csv(CURVES) if CURVES.exists() else pd.DataFrame(columns=COLUMNS)
    other_curves = other_curves[other_curves.scale != campaign.experiment.scale]
    all_curves = pd.concat([table for table in (other_curves, scale_curves) if len(table)], ignore_index=True)
    atomic_files.replace(CURVES, all_curves.to_csv(index=False, lineterminator="\n"))
    return f"{CURVES.relative_to(ROOT)}: {scale_curves.kind.nunique()} kinds of training of scale {campaign.experiment.scale}"


def compare(catalogue: Catalogue, run: Run, entries: list[dict], reference: pd.DataFrame) -> pd.DataFrame:
    """Tabulate a run beside its reference, a row per epoch and metric: value, low, high and whether it lies between.

    Rows are of the epochs that both have. Raises UserError where there is no reference of the run's kind, or no such epoch.
    """
    kind_reference = reference[reference.kind == digest(kind_of(run))]
    if kind_reference.empty:
        raise UserError(
            f"no reference for {method_title(catalogue, run.method, run.options)} on {run.architecture} as {run.id} is trained: {known_references(catalogue, run, reference)}"
        )
    rows, metrics_of_epoch = [], epochs_of(entries)
    for expected in kind_reference.itertuples():
        if expected.epoch in metrics_of_epoch:
            half_width, (smallest, largest) = allowed(expected), METRIC_RANGES[expected.metric]
            row = {"epoch": expected.epoch, "metric": expected.metric, "n": expected.n}
            row |= {"value": metrics_of_epoch[expected.epoch].get(expected.metric, math.nan)}
            row |= {"low": max(expected.mean - half_width, smallest), "high": min(expected.mean + half_width, largest)}
            rows.append(row | {"own": run.id in expected.runs.split()})
    if not rows:
        raise UserError(f"run {run.id} has no epoch yet that the reference has: wait for the first to end")
    table = pd.DataFrame(rows)
    return table.assign(within=(table.low <= table.value) & (table.value <= table.high))


def allowed(expected) -> float:
    """Compute how far from the mean of n seeds one more may lie: DEVIATIONS sqrt(1 + 1/n) times the deviation.

    The deviation counts as at least LEAST_DEVIATION; for an accuracy p, as at least 100 sqrt(p (1 - p) / HELDOUT_IMAGES).
    """
    p = min(max(expected.mean / 100, 1 / HELDOUT_IMAGES), 1 - 1 / HELDOUT_IMAGES)
    least_deviation = (
        100 * math.sqrt(p * (1 - p) / HELDOUT_IMAGES)
        if expected.metric == "heldout_accuracy"
        else LEAST_DEVIATION[expected.metric]
    )
    return DEVIATIONS * math.sqrt(1 + 1 / expected.n) * max(expected.deviation, least_deviation)


def known_references(catalogue: Catalogue, run: Run, reference: pd.DataFrame) -> str:
    """Name the trainings that have a reference: those of the run's data set where it has any, else all."""
    same_data = reference[reference.dataset == run.data.name]
    kinds = (same_data if len(same_data) else reference).drop_duplicates("kind")
    titles = [
        f"{kind.title} on {data_title(catalogue, kind.dataset)}, {kind.architecture}, scale {kind.scale}"
        for kind in kinds.itertuples()
    ]
    return f"known are {'; '.join(titles)}" if titles else "none is kept yet, python -m pipeline.reference makes one"


def find_entries(campaign: Campaign, run_id: str) -> list[dict]:
    """Read a run's record as far as it has come. Raises UserError where the run has not begun."""
    paths = [campaign.folder / folder / run_id / "record.jsonl" for folder in ("runs", "weights")]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise UserError(f"run {run_id} has not begun: make reproduce SCALE={campaign.experiment.scale} trains it")
    return records.read(path)


def find_run(campaign: Campaign, run_id: str) -> Run:
    """Find a run by its id: by the declaration in its folder, else in the campaign. Raises UserError where no id is given.

    So a run that was trained on other images and that the repository has is found too.
    """
    if not run_id:
        raise UserError(f"which run? make check-run RUN=<id>, one of {campaign.folder / 'runs'}, or as the training says it")
    declaration = campaign.folder / "runs" / run_id / "declaration.yaml"
    return stored_run(campaign.catalogue, declaration) if declaration.exists() else campaign.find_run(run_id)


def check(campaign: Campaign, id_or_folder: str) -> tuple[str, bool]:
    """Compare a run, by its id or folder, with the reference curves of its kind: in words, and whether all is as expected."""
    if not CURVES.exists():
        raise UserError(f"{CURVES} is missing: git checkout brings it back, python -m pipeline.reference makes one")
    run_id = Path(id_or_folder).name
    run = find_run(campaign, run_id)
    table = compare(campaign.catalogue, run, find_entries(campaign, run_id), pd.read_csv(CURVES))
    return comparison_text(campaign.catalogue, run, table), bool(table.within.all())


def stored_run(catalogue: Catalogue, path: Path) -> Run:
    """Read a run from its declaration file, with those that it starts from. Raises UserError where one can't be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        data = Data(**{field.name: content["data"][field.name] for field in fields(Data)})
        parent = stored_run(catalogue, path.parents[1] / Path(content["parent"]).name / path.name) if content["parent"] else None
        required = [field.name for field in fields(Run) if field.default is field.default_factory is MISSING]
        declared = {name: content[name] for name in required} | {"others": content.get("others", {})}
        settings = {name: value for name, value in content["network"].items() if name != "backbone"}
        backbone = content["network"]["backbone"]
        architecture = catalogue.architecture(backbone, catalogue.network_settings(backbone, settings))
        return Run(**declared | {"data": data, "parent": parent, "architecture": architecture})
    except (OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is no declaration of a run ({type(error).__name__}: {reason}): git checkout brings it back"
        ) from error


def comparison_text(catalogue: Catalogue, run: Run, table: pd.DataFrame) -> str:
    """Write the comparison in lines; values that are off are marked."""
    count = table.n.max()
    lines = [
        f"{run.id}: {method_title(catalogue, run.method, run.options)} beside {count} reference seed{'s' if count > 1 else ''}"
    ]
    if table.own.any():
        lines.append("  it is one of them" if count > 1 else "  it is that seed itself, so this says nothing")
    for row in table.itertuples():
        name, pattern = METRIC_FORMATS[row.metric]
        value = "is not in the record" if math.isnan(row.value) else pattern.format(row.value)
        between = f"expected {pattern.format(row.low)} to {pattern.format(row.high)}"
        lines.append(f"{'  ' if row.within else '! '}epoch {row.epoch}: {name} {value}, {between}")
    off = table[~table.within]
    conclusion = f"as expected so far, to epoch {table.epoch.max()}"
    if len(off):
        conclusion = f"off from epoch {off.epoch.min()} on: look at data, recipe and versions before more time goes into it"
    return "\n".join([*lines, conclusion])
