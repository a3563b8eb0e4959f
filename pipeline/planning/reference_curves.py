"""How trainings of each kind went here, epoch by epoch: what a new one is compared with while it runs.

python -m pipeline.reference --scale laptop writes the scale's lines of baselines/reference_curves.csv from its records;
python -m pipeline.reference --scale laptop --check RUN compares a run, finished or not, with them (make check-run RUN=...).

Two runs are of one kind where all that is declared of them is the same but seed, threads and precision; where the images come from
and the version of the code may differ. A value is off where it is missing, or further from the mean of the reference's n seeds than
4 sqrt(1 + 1/n) standard deviations: those between seeds, pooled over the scale's kinds that have several, at that epoch; of tokens, which
kinds don't share, a kind's own where it has several seeds. So it finds a training that goes wrong, not one that goes like another method's.
"""

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
LEAST = {"train_loss": 0.01, "average_tokens": 0.005}  # a deviation between seeds is taken to be no smaller
HELDOUT = 1000  # images, whose number bounds how well an accuracy is known
POSSIBLE = {"train_loss": (0, math.inf), "heldout_accuracy": (0, 100), "average_tokens": (0, 1)}
WORDS = {
    "train_loss": ("training loss", "{:.3f}"),
    "heldout_accuracy": ("held-out accuracy (%)", "{:.1f}"),
    "average_tokens": ("average tokens", "{:.3f}"),
}
COLUMNS = ["scale", "kind", "title", "dataset", "architecture", "epoch", "metric", "mean", "deviation", "n", "runs", "numerics"]


def kind_of(run: Run) -> dict:
    """What two runs must have in common to go alike: all that is declared of them and of what they start from, but the seed."""
    fields = {key: run.identity[key] for key in ("method", "options", "network", "recipe")}
    data = {"name": run.data.name, "train": run.data.train}
    return fields | {"data": data, "parent": kind_of(run.parent) if run.parent else None}


def epochs_of(entries: list[dict]) -> dict[int, dict]:
    """The metrics of each epoch of a training, those that a reference has."""
    done = (entry for entry in entries if entry["event"] == "epoch" and entry["epoch"] > 0)
    return {e["epoch"]: {key: x for key in METRICS if isinstance(x := e["metrics"].get(key), int | float)} for e in done}


def curves(campaign: Campaign) -> pd.DataFrame:
    """The finished trainings of a campaign: a line per kind, epoch and metric. Raises UserError where no kind has two seeds."""
    lines = []
    for run in campaign.runs:
        if (campaign.run_folder(run) / "done.json").exists():
            about = {
                "kind": digest(kind_of(run)),
                "title": method_title(campaign.catalogue, run.method, run.options),
                "dataset": run.data.name,
            }
            about |= {"architecture": run.architecture, "run": run.id}
            told = epochs_of(records.read(campaign.run_folder(run) / "record.jsonl"))
            lines += [
                about | {"epoch": e, "metric": key, "value": x} for e, metrics in told.items() for key, x in metrics.items()
            ]
    if not lines:
        raise UserError(f"scale {campaign.experiment.scale} has no finished training: make reproduce SCALE=... trains it")
    keys = ["kind", "title", "dataset", "architecture", "epoch", "metric"]
    grouped = pd.DataFrame(lines).groupby(keys, sort=False)
    table = grouped.agg(mean=("value", "mean"), variance=("value", "var"), n=("value", "count"), runs=("run", " ".join))
    table = table.reset_index()
    pooled = table[table.n > 1].groupby(["metric", "epoch"]).apply(pool, include_groups=False)
    if pooled.empty:
        raise UserError(
            f"scale {campaign.experiment.scale}: no kind of training has two finished seeds, so nothing tells a spread"
        )
    shared = pd.Series([pooled.get((line.metric, line.epoch)) for line in table.itertuples()])
    own = (table.metric == "average_tokens") & (table.n > 1)
    table["deviation"] = table.variance.pow(0.5).where(own, shared)
    table["scale"], table["numerics"] = campaign.experiment.scale, NUMERICS
    return table.dropna(subset="deviation")[COLUMNS].round({"mean": 6, "deviation": 6})


def pool(of: pd.DataFrame) -> float:
    """The standard deviation that several samples of one spread have together."""
    return math.sqrt((of.variance * (of.n - 1)).sum() / (of.n - 1).sum())


def keep(campaign: Campaign) -> str:
    """Write the scale's lines in place of those that it had; in words, how many kinds of training they are of."""
    made = curves(campaign)
    others = pd.read_csv(CURVES) if CURVES.exists() else pd.DataFrame(columns=COLUMNS)
    others = others[others.scale != campaign.experiment.scale]
    whole = pd.concat([table for table in (others, made) if len(table)], ignore_index=True)
    atomic_files.replace(CURVES, whole.to_csv(index=False, lineterminator="\n"))
    return f"{CURVES.relative_to(ROOT)}: {made.kind.nunique()} kinds of training of scale {campaign.experiment.scale}"


def compare(catalogue: Catalogue, run: Run, entries: list[dict], reference: pd.DataFrame) -> pd.DataFrame:
    """The run beside the reference, a line per epoch and metric that both have: value, low, high and whether it lies between."""
    own = reference[reference.kind == digest(kind_of(run))]
    if own.empty:
        raise UserError(
            f"no reference for {method_title(catalogue, run.method, run.options)} on {run.architecture} as {run.id} is trained: {known(catalogue, run, reference)}"
        )
    lines, told = [], epochs_of(entries)
    for line in own.itertuples():
        if line.epoch in told:
            half, (least, most) = allowed(line), POSSIBLE[line.metric]
            found = {"epoch": line.epoch, "metric": line.metric, "n": line.n}
            found |= {"value": told[line.epoch].get(line.metric, math.nan)}
            found |= {"low": max(line.mean - half, least), "high": min(line.mean + half, most)}
            lines.append(found | {"own": run.id in line.runs.split()})
    if not lines:
        raise UserError(f"run {run.id} has no epoch yet that the reference has: wait for the first to end")
    table = pd.DataFrame(lines)
    return table.assign(within=(table.low <= table.value) & (table.value <= table.high))


def allowed(line) -> float:
    """How far from the mean of n seeds one more may lie."""
    share = min(max(line.mean / 100, 1 / HELDOUT), 1 - 1 / HELDOUT)
    least = 100 * math.sqrt(share * (1 - share) / HELDOUT) if line.metric == "heldout_accuracy" else LEAST[line.metric]
    return DEVIATIONS * math.sqrt(1 + 1 / line.n) * max(line.deviation, least)


def known(catalogue: Catalogue, run: Run, reference: pd.DataFrame) -> str:
    """What there is a reference for, those of the run's data set first."""
    near = reference[reference.dataset == run.data.name]
    found = (near if len(near) else reference).drop_duplicates("kind")
    titles = [
        f"{line.title} on {data_title(catalogue, line.dataset)}, {line.architecture}, scale {line.scale}"
        for line in found.itertuples()
    ]
    return f"known are {'; '.join(titles)}" if titles else "none is kept yet, python -m pipeline.reference makes one"


def find_entries(campaign: Campaign, run_id: str) -> list[dict]:
    """A run's record as far as it has come."""
    places = [campaign.folder / folder / run_id / "record.jsonl" for folder in ("runs", "weights")]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise UserError(f"run {run_id} has not begun: make reproduce SCALE={campaign.experiment.scale} trains it")
    return records.read(path)


def find_run(campaign: Campaign, run_id: str) -> Run:
    """A run of the campaign, or one that was trained on other images and that the repository has: from its own declaration."""
    if not run_id:
        raise UserError(f"which run? make check-run RUN=<id>, one of {campaign.folder / 'runs'}, or as the training says it")
    told = campaign.folder / "runs" / run_id / "declaration.yaml"
    return stored_run(campaign.catalogue, told) if told.exists() else campaign.find_run(run_id)


def check(campaign: Campaign, wanted: str) -> tuple[str, bool]:
    """A run, by its id or folder, beside the reference curves of its kind: in words, and whether all is as expected."""
    if not CURVES.exists():
        raise UserError(f"{CURVES} is missing: git checkout brings it back, python -m pipeline.reference makes one")
    run_id = Path(wanted).name
    run = find_run(campaign, run_id)
    table = compare(campaign.catalogue, run, find_entries(campaign, run_id), pd.read_csv(CURVES))
    return tell(campaign.catalogue, run, table), bool(table.within.all())


def stored_run(catalogue: Catalogue, path: Path) -> Run:
    """A run as its folder declares it, and those that it starts from. Raises UserError where that can't be read."""
    try:
        told = yaml.safe_load(path.read_text())
        data = Data(**{key.name: told["data"][key.name] for key in fields(Data)})
        parent = stored_run(catalogue, path.parents[1] / Path(told["parent"]).name / path.name) if told["parent"] else None
        declared = {key.name: told[key.name] for key in fields(Run) if key.default is MISSING}
        settings = {key: value for key, value in told["network"].items() if key != "backbone"}
        backbone = told["network"]["backbone"]
        architecture = catalogue.architecture(backbone, catalogue.network_settings(backbone, settings))
        return Run(**declared | {"data": data, "parent": parent, "architecture": architecture})
    except (OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is no declaration of a run ({type(error).__name__}: {reason}): git checkout brings it back"
        ) from error


def tell(catalogue: Catalogue, run: Run, table: pd.DataFrame) -> str:
    """The comparison in lines; what is off is marked."""
    count = table.n.max()
    lines = [
        f"{run.id}: {method_title(catalogue, run.method, run.options)} beside {count} reference seed{'s' if count > 1 else ''}"
    ]
    if table.own.any():
        lines.append("  it is one of them" if count > 1 else "  it is that seed itself, so this says nothing")
    for line in table.itertuples():
        name, pattern = WORDS[line.metric]
        value = "is not in the record" if math.isnan(line.value) else pattern.format(line.value)
        between = f"expected {pattern.format(line.low)} to {pattern.format(line.high)}"
        lines.append(f"{'  ' if line.within else '! '}epoch {line.epoch}: {name} {value}, {between}")
    off = table[~table.within]
    end = f"as expected so far, to epoch {table.epoch.max()}"
    if len(off):
        end = f"off from epoch {off.epoch.min()} on: look at data, recipe and versions before more time goes into it"
    return "\n".join([*lines, end])
