"""Estimate what a campaign costs, before and while it runs. Imports no torch.

The command is pipeline.plan, whose text says how it is used and by which rules.
"""

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.campaign.titles import data_title, method_title
from pipeline.core.catalogue import Catalogue
from pipeline.core.errors import UserError
from pipeline.core.record import read
from pipeline.data.identity import Data
from pipeline.planning import training_kinds
from pipeline.planning.costs import Cost, cost, counts, speeds
from pipeline.planning.critical_path import Job, longest_chain, wall_hours
from pipeline.planning.disk_space import disk
from pipeline.planning.measured_rates import Rates, rates_of
from pipeline.planning.one_more import one_more_gamma, one_more_seed
from pipeline.planning.progress import FAILED, FINISHED, NOT_BEGUN, UNDER_WAY, Progress, epochs, progress_of


def plan(campaign: Campaign, devices: int = 1, device_name: str | None = None) -> dict:
    """Estimate the whole plan, as JSON holds it. `device_name`: a part of the name of the device whose hours are asked for."""
    progress = progress_of(campaign)
    rates = rates_of(campaign, progress, device_name)
    costs = {run.id: cost(campaign, run, progress[run.id], rates) for run in campaign.runs}
    estimate = {"scale": campaign.experiment.scale, "about": campaign.experiment.about, "devices": devices}
    estimate |= {"images": [campaign.data(name).origin for name in campaign.experiment.datasets]}
    estimate |= {"throughput": throughput(campaign, rates), "jobs": jobs(campaign, progress)}
    estimate |= {"trainings": trainings(campaign, progress, rates, costs), "totals": totals(campaign, costs)}
    estimate["rows"] = rows(campaign, estimate["trainings"])
    for key, left in (("whole", False), ("left", True)):
        estimate[key] = chain_and_wall(campaign, costs, devices, left)
    estimate["disk"] = disk(campaign, rates, devices)
    estimate["progress"] = unfinished(campaign, progress)
    estimate["one_more"] = {"seed": one_more_seed(campaign, costs), "gammas": one_more_gamma(campaign, costs, rates)}
    damaged = [f"{key}: {p.note}" for key, p in progress.items() if p.note and p.state != FAILED]
    uncounted = [f"how many images {name} has is known when it is prepared (make data)" for name in unknown_counts(campaign)]
    return estimate | {"notes": rates.notes + damaged + uncounted + without_arrays(campaign, costs)}


def unknown_counts(campaign: Campaign) -> list[str]:
    """List the data sets whose number of images is unknown."""
    return [name for name in campaign.experiment.datasets if counts(campaign.catalogue, campaign.data(name)) is None]


def without_arrays(campaign: Campaign, costs: dict[str, Cost]) -> list[str]:
    """Note how many evaluations have numbers here but no arrays; an empty list where none has.

    Evaluations count as done where their numbers are here. Git keeps no arrays, and the graph asks for them too.
    """
    lacking = [
        run for run in campaign.measured_runs if campaign.results_file(run).exists() and not campaign.arrays_file(run).exists()
    ]
    hours = sum(costs[run.id].evaluate or 0 for run in lacking)
    note = f"the arrays of {len(lacking)} evaluations are not here, their numbers are: dvc pull brings them, else the graph evaluates again"
    return [f"{note} ({hours:.2g} hours)"] if lacking else []


def throughput(campaign: Campaign, rates: Rates) -> dict:
    """Describe where speeds come from, and list the kinds of training that have none."""
    trained = {training_kinds.kind_of(run): run for run in campaign.runs}
    missing = [run for run in trained.values() if speeds(run, rates) is None]
    summary = {"device": rates.device and str(rates.device), "kinds": len(trained), "recorded": rates.recorded}
    summary |= {
        "measured": len(trained) - rates.recorded - len(missing),
        "missing": [kind_title(campaign.catalogue, run) for run in missing],
    }
    if file := rates.file:
        summary["file"] = {key: file[key] for key in ("device", "gpu", "cores", "threads", "precision")}
        summary["file"]["batches"] = sorted({(entry["batch"], entry["declared_batch"]) for entry in file["kinds"]})
    return summary


def kind_title(catalogue: Catalogue, run: Run) -> str:
    """Name what trainings of one kind share."""
    method = method_title(catalogue, run.method, run.options)
    return f"{data_title(catalogue, run.data.name)}, {run.architecture}, {method}, T = {run.network['timesteps']}"


def jobs(campaign: Campaign, progress: dict[str, Progress]) -> dict[str, dict]:
    """Count the jobs of each rule, those done and those left, and the states of the trainings that are not finished."""
    states = [p.state for p in progress.values()]
    done = {
        "prepare": [not is_data_needed(campaign, progress, name) for name in campaign.experiment.datasets],
        "train": [state == FINISHED for state in states],
        "evaluate": [campaign.results_file(run).exists() for run in campaign.measured_runs],
        "aggregate": [campaign.made_from("tables").exists()],
        "figure": [campaign.made_from(name).exists() for name in campaign.experiment.figures],
        "claims": [campaign.made_from("claims").exists()],
        "report": [campaign.made_from("report").exists()],
    }
    jobs_of_rule = {
        rule: {"jobs": len(flags), "done": sum(flags), "left": len(flags) - sum(flags)} for rule, flags in done.items()
    }
    jobs_of_rule["train"] |= {state: states.count(state) for state in (UNDER_WAY, FAILED, NOT_BEGUN)}
    return jobs_of_rule


def is_data_needed(campaign: Campaign, progress: dict[str, Progress], name: str) -> bool:
    """Check that a data set is still to be prepared: it isn't there, and something is to be made from it."""
    runs = [run for run in campaign.runs if run.data.name == name]
    all_done = all(progress[run.id].state == FINISHED for run in runs)
    all_done = all_done and all(campaign.results_file(run).exists() for run in runs if campaign.evaluations_of(run))
    return not all_done and not (campaign.data(name).folder / "meta.json").exists()


def trainings(campaign: Campaign, progress: dict[str, Progress], rates: Rates, costs: dict[str, Cost]) -> list[dict]:
    """Build a row per declared training, its seeds together."""
    training_rows = []
    for label, declared in campaign.experiment.runs.items():
        runs = [run for run in campaign.runs if run.label == label]
        run_costs = [costs[run.id] for run in runs]
        row = {
            "label": label,
            "title": kind_title(campaign.catalogue, runs[0]),
            "parent": declared.parent,
            "seeds": len(runs),
            "epochs": epochs(runs[0]),
        }
        row |= {"images_per_second": rates.trained.get(training_kinds.kind_of(runs[0]))}
        row |= {key: sum_or_none([getattr(run_cost, key) for run_cost in run_costs]) for key in Cost.__dataclass_fields__}
        row["done"] = sum(progress[run.id].state == FINISHED for run in runs)
        training_rows.append(row)
    return training_rows


def sum_or_none(hours: list[float | None]) -> float | None:
    """Sum hours; None where one of them is unknown."""
    return None if None in hours else sum(hours)


def rows(campaign: Campaign, training_rows: list[dict]) -> list[dict]:
    """List Table 1's rows with the hours of their training and evaluations over all seeds, and the first row of that training."""
    training_of_label, first_place, table_rows = {training["label"]: training for training in training_rows}, {}, []
    for place, row in enumerate(campaign.experiment.table1, start=1):
        label = campaign.experiment.evaluations[row.evaluation].run
        training = training_of_label[label]
        at = f"exit {row.exit}" if row.exit else f"T = {row.timesteps or campaign.named(row.evaluation)[0].timesteps}"
        table_rows.append(
            {"row": place, "evaluation": row.evaluation, "at": at, "training": label, "same_as": first_place.get(label)}
        )
        table_rows[-1] |= {"hours": sum_or_none([training["train"], training["evaluate"]]), "starts_from": training["parent"]}
        first_place.setdefault(label, place)
    return table_rows


def totals(campaign: Campaign, costs: dict[str, Cost]) -> dict:
    """Sum the hours of all trainings and of all evaluations, whole and left, and count those that are unknown."""
    sums = {}
    for key in Cost.__dataclass_fields__:
        run_hours = [getattr(costs[run.id], key) for run in campaign.runs]
        sums[key] = sum(hours for hours in run_hours if hours is not None)
        sums[f"{key}_unknown"] = run_hours.count(None)
    return sums


def chain_and_wall(campaign: Campaign, costs: dict[str, Cost], devices: int, left: bool) -> dict:
    """Compute the longest chain of jobs, and the hours of all with `devices` at once: from the start, or of what is left."""
    job_list, unknown = [], 0
    for run in parents_first(campaign.runs):
        run_cost = costs[run.id]
        train, evaluate = (run_cost.train_left, run_cost.evaluate_left) if left else (run_cost.train, run_cost.evaluate)
        unknown += (train is None) + (evaluate is None)
        job_list.append(Job(run.id, train or 0.0, run.parent.id if run.parent else None))
        job_list.append(Job(f"evaluation of {run.id}", evaluate or 0.0, run.id))
    chain = longest_chain(job_list)
    return {
        "chain": [{"job": job.name, "hours": job.hours} for job in chain],
        "chain_hours": sum(job.hours for job in chain),
        "unknown": unknown,
        "wall_hours": wall_hours(job_list, devices),
        "one_device_hours": wall_hours(job_list, 1),
    }


def parents_first(runs: list[Run]) -> list[Run]:
    """Sort parents before their children: a declaration may name a training before the one that it starts from."""

    def depth(run: Run) -> int:
        return 1 + depth(run.parent) if run.parent else 0

    return sorted(runs, key=depth)


def unfinished(campaign: Campaign, progress: dict[str, Progress]) -> list[dict]:
    """List the trainings that are under way or failed, each with the number of unfinished trainings that start from it."""
    unfinished_rows = []
    for run in campaign.runs:
        if (run_progress := progress[run.id]).state in (UNDER_WAY, FAILED):
            waiting = sum(is_ancestor(run, other) and progress[other.id].state != FINISHED for other in campaign.runs)
            row = {
                "run": run.id,
                "state": run_progress.state,
                "epoch": run_progress.epoch,
                "epochs": epochs(run),
                "waiting": waiting,
            }
            unfinished_rows.append(row | {"reason": run_progress.note if run_progress.state == FAILED else ""})
    return unfinished_rows


def is_ancestor(run: Run, other: Run) -> bool:
    """Check that `other` starts from `run`, directly or through other runs."""
    return bool(other.parent) and (other.parent.id == run.id or is_ancestor(run, other.parent))


def open_plan(campaign: Campaign) -> tuple[Campaign, str]:
    """Choose the campaign to plan for a scale; in words, what it means where it is not the one given.

    Where no folder of images is named, and nothing was made from the official images but something from others, it is the
    campaign of those others.
    """
    if campaign.data_folders or any(
        campaign.run_folder(run).exists() or campaign.weights_folder(run).exists() for run in campaign.runs
    ):
        return campaign, ""
    images = recorded_images(campaign)
    other = Campaign(campaign.experiment, campaign.catalogue, images=images)
    if not any(other.run_folder(run).exists() for run in other.runs):
        return campaign, ""
    return other, (
        "no folder of images is named, so this is the campaign of the images that were trained on here; "
        "make reproduce goes on with it where ATSNN_DATA names their folder, else it begins anew with the official ones"
    )


def recorded_images(campaign: Campaign) -> dict[str, Data]:
    """Read the images that trainings of this scale began with, for each data set whose trainings all began with the same."""
    data_of_name: dict[str, set[Data]] = {}
    for path in sorted(campaign.folder.glob("runs/*/record.jsonl")):
        try:
            recorded = read(path)[0]["provenance"]["data"]
            use = campaign.experiment.datasets[recorded["name"]]
            data = Data(recorded["name"], recorded["source"], recorded["origin"], recorded["official"], use.train, use.test)
            data_of_name.setdefault(data.name, set()).add(data)
        except (UserError, KeyError, TypeError):
            continue  # the record is damaged, or of another declaration
    return {name: data for name, (data, *others) in data_of_name.items() if not others}
