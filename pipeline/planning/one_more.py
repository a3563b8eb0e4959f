"""Estimate what one more seed or one more gamma adds to the cost of a campaign. Imports no torch."""
# Tested in tests/pipeline/planning/test_plan.py

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.campaign.titles import data_title, method_title
from pipeline.planning.costs import Cost, evaluation_hours
from pipeline.planning.measured_rates import Rates

METHOD = "at_snn"


def one_more_seed(campaign: Campaign, costs: dict[str, Cost]) -> dict:
    """Estimate one more seed of every training, with its evaluations: the average of the seeds that it has."""
    hours: list[float | None] = []
    for label in campaign.experiment.runs:
        run_costs = [costs[run.id] for run in campaign.runs if run.label == label]
        for run_hours in ([run_cost.train for run_cost in run_costs], [run_cost.evaluate for run_cost in run_costs]):
            hours.append(None if None in run_hours else sum(run_hours) / len(run_hours))
    known_hours = [number for number in hours if number is not None]
    return {"trainings": len(campaign.experiment.runs), "hours": sum(known_hours), "unknown": hours.count(None)}


def one_more_gamma(campaign: Campaign, costs: dict[str, Cost], rates: Rates) -> list[dict]:
    """Estimate a retraining of AT-SNN at one more gamma over all seeds of its parent, with its evaluation.

    By data set and network: the hours of the dearest of the declared retrainings that set a gamma and nothing else.
    """
    dearest: dict[tuple[str, str], dict] = {}
    for label, declared in campaign.experiment.runs.items():
        if declared.method == METHOD and declared.options.keys() == {"gamma"}:
            runs = [run for run in campaign.runs if run.label == label]
            seeds = sum(run.label == declared.parent for run in campaign.runs)
            run_hours = [hours_of(campaign, run, costs, rates) for run in runs]
            row = {
                "data": data_title(campaign.catalogue, runs[0].data.name),
                "architecture": runs[0].architecture,
                "seeds": seeds,
            }
            row |= {
                "as": method_title(campaign.catalogue, METHOD, runs[0].options),
                "hours": None if None in run_hours else seeds * sum(run_hours) / len(run_hours),
            }
            key = row["data"], row["architecture"]
            if key not in dearest or (row["hours"] or 0) > (dearest[key]["hours"] or 0):
                dearest[key] = row
    return list(dearest.values())


def hours_of(campaign: Campaign, run: Run, costs: dict[str, Cost], rates: Rates) -> float | None:
    """Sum the hours of a retraining and of its evaluation as it was trained, without those at other options; None if unknown."""
    plain_evaluations = (e for e in campaign.evaluations_of(run) if not e.probe and e.options == run.options)
    evaluation = next(plain_evaluations, None)
    hours = [costs[run.id].train, evaluation_hours(campaign.catalogue, evaluation, rates) if evaluation else 0.0]
    return None if None in hours else sum(hours)
