"""What a campaign costs, before and while it runs: jobs, hours by measured throughput, the longest chain, disk, what is done.

python -m pipeline.plan --scale paper --gpus 8, or make plan SCALE=paper GPUS=8. Imports no torch. Hours are those of one device,
which is named; what was not measured has none, and the totals without it say "at least".
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


def plan(campaign: Campaign, devices: int = 1, wanted: str | None = None) -> dict:
    """All of it, as JSON holds it. `wanted`: a part of the name of the device whose hours are asked for."""
    progress = progress_of(campaign)
    rates = rates_of(campaign, progress, wanted)
    costs = {run.id: cost(campaign, run, progress[run.id], rates) for run in campaign.runs}
    told = {"scale": campaign.experiment.scale, "about": campaign.experiment.about, "devices": devices}
    told |= {"images": [campaign.data(name).origin for name in campaign.experiment.datasets]}
    told |= {"throughput": throughput(campaign, rates), "jobs": jobs(campaign, progress)}
    told |= {"trainings": trainings(campaign, progress, rates, costs), "totals": totals(campaign, costs)}
    told["rows"] = rows(campaign, told["trainings"])
    for key, left in (("whole", False), ("left", True)):
        told[key] = chain_and_wall(campaign, costs, devices, left)
    told["disk"] = disk(campaign, rates, devices)
    told["progress"] = unfinished(campaign, progress)
    told["one_more"] = {"seed": one_more_seed(campaign, costs), "gammas": one_more_gamma(campaign, costs, rates)}
    damaged = [f"{key}: {one.note}" for key, one in progress.items() if one.note and one.state != FAILED]
    uncounted = [f"how many images {name} has is known when it is prepared (make data)" for name in unknown_counts(campaign)]
    return told | {"notes": rates.notes + damaged + uncounted + without_arrays(campaign, costs)}


def unknown_counts(campaign: Campaign) -> list[str]:
    return [name for name in campaign.experiment.datasets if counts(campaign.catalogue, campaign.data(name)) is None]


def without_arrays(campaign: Campaign, costs: dict[str, Cost]) -> list[str]:
    """Evaluations count as done where their numbers are here. Git keeps no arrays, and the graph asks for them too."""
    lacking = [
        run for run in campaign.measured_runs if campaign.results_file(run).exists() and not campaign.arrays_file(run).exists()
    ]
    hours = sum(costs[run.id].evaluate or 0 for run in lacking)
    said = f"the arrays of {len(lacking)} evaluations are not here, their numbers are: dvc pull brings them, else the graph evaluates again"
    return [f"{said} ({hours:.2g} hours)"] if lacking else []


def throughput(campaign: Campaign, rates: Rates) -> dict:
    """Where speeds come from, and what has none."""
    trained = {training_kinds.kind_of(run): run for run in campaign.runs}
    missing = [run for run in trained.values() if speeds(run, rates) is None]
    told = {"device": rates.device and str(rates.device), "kinds": len(trained), "recorded": rates.recorded}
    told |= {
        "measured": len(trained) - rates.recorded - len(missing),
        "missing": [kind_title(campaign.catalogue, run) for run in missing],
    }
    if file := rates.file:
        told["file"] = {key: file[key] for key in ("device", "gpu", "cores", "threads", "precision")}
        told["file"]["batches"] = sorted({(entry["batch"], entry["declared_batch"]) for entry in file["kinds"]})
    return told


def kind_title(catalogue: Catalogue, run: Run) -> str:
    """Name what trainings of one kind share."""
    method = method_title(catalogue, run.method, run.options)
    return f"{data_title(catalogue, run.data.name)}, {run.architecture}, {method}, T = {run.network['timesteps']}"


def jobs(campaign: Campaign, progress: dict[str, Progress]) -> dict[str, dict]:
    """How many jobs each rule has, how many of them are done, and of trainings how far the others are."""
    states = [one.state for one in progress.values()]
    done = {
        "prepare": [not needed(campaign, progress, name) for name in campaign.experiment.datasets],
        "train": [state == FINISHED for state in states],
        "evaluate": [campaign.results_file(run).exists() for run in campaign.measured_runs],
        "aggregate": [campaign.made_from("tables").exists()],
        "figure": [campaign.made_from(name).exists() for name in campaign.experiment.figures],
        "claims": [campaign.made_from("claims").exists()],
        "report": [campaign.made_from("report").exists()],
    }
    found = {rule: {"jobs": len(each), "done": sum(each), "left": len(each) - sum(each)} for rule, each in done.items()}
    found["train"] |= {state: states.count(state) for state in (UNDER_WAY, FAILED, NOT_BEGUN)}
    return found


def needed(campaign: Campaign, progress: dict[str, Progress], name: str) -> bool:
    """Whether a data set is still to be prepared: it isn't there, and something is to be made from it."""
    own = [run for run in campaign.runs if run.data.name == name]
    made = all(progress[run.id].state == FINISHED for run in own)
    made = made and all(campaign.results_file(run).exists() for run in own if campaign.evaluations_of(run))
    return not made and not (campaign.data(name).folder / "meta.json").exists()


def trainings(campaign: Campaign, progress: dict[str, Progress], rates: Rates, costs: dict[str, Cost]) -> list[dict]:
    """A line per declared training, its seeds together."""
    lines = []
    for label, declared in campaign.experiment.runs.items():
        own = [run for run in campaign.runs if run.label == label]
        mine = [costs[run.id] for run in own]
        line = {
            "label": label,
            "title": kind_title(campaign.catalogue, own[0]),
            "parent": declared.parent,
            "seeds": len(own),
            "epochs": epochs(own[0]),
        }
        line |= {"images_per_second": rates.trained.get(training_kinds.kind_of(own[0]))}
        line |= {key: together([getattr(one, key) for one in mine]) for key in Cost.__dataclass_fields__}
        line["done"] = sum(progress[run.id].state == FINISHED for run in own)
        lines.append(line)
    return lines


def together(hours: list[float | None]) -> float | None:
    return None if None in hours else sum(hours)


def rows(campaign: Campaign, lines: list[dict]) -> list[dict]:
    """Table 1's rows, each with the hours of its training and evaluations over all seeds, and the row that has the same ones."""
    of_label, first, found = {line["label"]: line for line in lines}, {}, []
    for place, row in enumerate(campaign.experiment.table1, start=1):
        label = campaign.experiment.evaluations[row.evaluation].run
        line = of_label[label]
        at = f"exit {row.exit}" if row.exit else f"T = {row.timesteps or campaign.named(row.evaluation)[0].timesteps}"
        found.append({"row": place, "evaluation": row.evaluation, "at": at, "training": label, "same_as": first.get(label)})
        found[-1] |= {"hours": together([line["train"], line["evaluate"]]), "starts_from": line["parent"]}
        first.setdefault(label, place)
    return found


def totals(campaign: Campaign, costs: dict[str, Cost]) -> dict:
    """Hours of all trainings and all evaluations, what is left of them, and how many have none."""
    found = {}
    for key in Cost.__dataclass_fields__:
        own = [getattr(costs[run.id], key) for run in campaign.runs]
        found[key] = sum(hours for hours in own if hours is not None)
        found[f"{key}_unknown"] = own.count(None)
    return found


def chain_and_wall(campaign: Campaign, costs: dict[str, Cost], devices: int, left: bool) -> dict:
    """The longest chain of jobs, and the hours of all with so many devices at once: from the start, or of what is left."""
    todo, unknown = [], 0
    for run in parents_first(campaign.runs):
        own = costs[run.id]
        train, evaluate = (own.train_left, own.evaluate_left) if left else (own.train, own.evaluate)
        unknown += (train is None) + (evaluate is None)
        todo.append(Job(run.id, train or 0.0, run.parent.id if run.parent else None))
        todo.append(Job(f"evaluation of {run.id}", evaluate or 0.0, run.id))
    chain = longest_chain(todo)
    return {
        "chain": [{"job": job.name, "hours": job.hours} for job in chain],
        "chain_hours": sum(job.hours for job in chain),
        "unknown": unknown,
        "wall_hours": wall_hours(todo, devices),
        "one_device_hours": wall_hours(todo, 1),
    }


def parents_first(runs: list[Run]) -> list[Run]:
    """A declaration may name a training before the one that it starts from."""

    def depth(run: Run) -> int:
        return 1 + depth(run.parent) if run.parent else 0

    return sorted(runs, key=depth)


def unfinished(campaign: Campaign, progress: dict[str, Progress]) -> list[dict]:
    """Trainings that are under way or failed, and of those that failed how many wait for them."""
    found = []
    for run in campaign.runs:
        if (one := progress[run.id]).state in (UNDER_WAY, FAILED):
            waiting = sum(ancestor(run, other) and progress[other.id].state != FINISHED for other in campaign.runs)
            line = {"run": run.id, "state": one.state, "epoch": one.epoch, "epochs": epochs(run), "waiting": waiting}
            found.append(line | {"reason": one.note if one.state == FAILED else ""})
    return found


def ancestor(run: Run, other: Run) -> bool:
    return bool(other.parent) and (other.parent.id == run.id or ancestor(run, other.parent))


def open_plan(campaign: Campaign) -> tuple[Campaign, str]:
    """The campaign of a scale. Where no folder of images is named and nothing was made of the official ones, but of other ones,
    it is the campaign of those; in words, what that means.
    """
    if campaign.data_folder or any(
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
    """The images that trainings of this scale began with, where all of a data set are the same."""
    found: dict[str, set[Data]] = {}
    for path in sorted(campaign.folder.glob("runs/*/record.jsonl")):
        try:
            told = read(path)[0]["provenance"]["data"]
            use = campaign.experiment.datasets[told["name"]]
            one = Data(told["name"], told["source"], told["origin"], told["official"], use.train, use.test)
            found.setdefault(one.name, set()).add(one)
        except (UserError, KeyError, TypeError):
            continue  # a damaged record, or another declaration's
    return {name: one for name, (one, *others) in found.items() if not others}
