"""What a campaign would cost that is one seed or one gamma larger. Imports no torch."""

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.campaign.titles import data_title, method_title
from pipeline.planning.costs import Cost, evaluation_hours
from pipeline.planning.measured_rates import Rates

METHOD = "at_snn"


def one_more_seed(campaign: Campaign, costs: dict[str, Cost]) -> dict:
    """A seed more of every training, with its evaluations: what those that there are take on average."""
    hours: list[float | None] = []
    for label in campaign.experiment.runs:
        own = [costs[run.id] for run in campaign.runs if run.label == label]
        for each in ([one.train for one in own], [one.evaluate for one in own]):
            hours.append(None if None in each else sum(each) / len(each))
    known = [each for each in hours if each is not None]
    return {"trainings": len(campaign.experiment.runs), "hours": sum(known), "unknown": hours.count(None)}


def one_more_gamma(campaign: Campaign, costs: dict[str, Cost], rates: Rates) -> list[dict]:
    """A retraining of AT-SNN at one more gamma over all seeds of its parent, with its evaluation: by data set and network, what
    the dearest of those takes that declare a gamma and nothing else.
    """
    found: dict[tuple[str, str], dict] = {}
    for label, declared in campaign.experiment.runs.items():
        if declared.method == METHOD and declared.options.keys() == {"gamma"}:
            own = [run for run in campaign.runs if run.label == label]
            seeds = sum(run.label == declared.parent for run in campaign.runs)
            each = [hours_of(campaign, run, costs, rates) for run in own]
            line = {"data": data_title(campaign.catalogue, own[0].data.name), "architecture": own[0].architecture, "seeds": seeds}
            line |= {
                "as": method_title(campaign.catalogue, METHOD, own[0].options),
                "hours": None if None in each else seeds * sum(each) / len(each),
            }
            key = line["data"], line["architecture"]
            if key not in found or (line["hours"] or 0) > (found[key]["hours"] or 0):
                found[key] = line
    return list(found.values())


def hours_of(campaign: Campaign, run: Run, costs: dict[str, Cost], rates: Rates) -> float | None:
    """A retraining and its evaluation as it was trained, without those at other options."""
    plain = (e for e in campaign.evaluations_of(run) if not e.probe and e.options == run.options)
    evaluation = next(plain, None)
    hours = [costs[run.id].train, evaluation_hours(campaign.catalogue, evaluation, rates) if evaluation else 0.0]
    return None if None in hours else sum(hours)
