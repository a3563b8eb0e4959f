"""Stage 5: a figure of the declaration, from evaluations.  python -m pipeline.figure --scale smoke --figure NAME

Writes figures/NAME.svg, .pdf and .json (the numbers, the caption, the evaluations shown). A figure that lacks its data
says so in all three and stops nothing else.
"""

import json
import os
import sys
import traceback

import baselines
from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.freshness import mark_made
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import data_title, method_title
from pipeline.core.atomic_files import replace_json
from pipeline.core.catalogue import Catalogue
from pipeline.core.errors import UserError, nearest
from pipeline.reporting.drawing import campaign_results, canvas

KINDS = TRAINED, NOT_RETRAINED, PROBED = (
    "Trained as shown",
    "Same weights, only evaluated otherwise",
    "Measured on trained weights, nothing retrained",
)


def draw(campaign: Campaign, name: str) -> dict:
    if name not in campaign.experiment.figures:
        raise UserError(
            f"figure {name!r} is not in scale {campaign.experiment.scale!r}: {nearest(name, campaign.experiment.figures)}"
        )
    evaluations = [e for wanted in campaign.experiment.figures[name].evaluations for e in campaign.named(wanted)]
    module = campaign.catalogue.figures[name]
    picture, numbers = painted(campaign, module, name, evaluations)
    numbers = {
        "title": module.TITLE,
        "definition": module.DEFINITION,
        "scale": campaign.experiment.scale,
        "missing": None,
    } | numbers
    made = numbers.get("made") or how_made(
        campaign.catalogue, evaluations, numbers.get("timesteps", {}), numbers.get("exits", {})
    )
    numbers |= {
        "made": made + doubts(campaign, evaluations),
        "evaluations": [{"id": e.id, "name": e.name, "run": e.run.id} for e in evaluations],
    }
    canvas.save(picture, campaign.folder / "figures" / name)
    replace_json(campaign.folder / "figures" / f"{name}.json", numbers)
    mark_made(campaign, name)
    return numbers


def painted(campaign: Campaign, module, name: str, evaluations: list[Evaluation]) -> tuple:
    """The picture and its numbers, or words that say what is missing."""
    try:
        for path in campaign.figure_inputs(name):
            if not os.path.exists(path):
                raise UserError(f"{path} is missing: run snakemake, which makes it, or evaluate first")
        picture, numbers = module.draw(campaign, evaluations)
        json.dumps(numbers)  # what it can't hold is a fault of the figure too
        return picture, numbers
    except UserError as error:
        reason = str(error)
    except Exception as error:  # a fault in one figure is no reason to have none
        traceback.print_exc(file=sys.stderr)
        reason = f"{type(error).__name__}: {error}"
    canvas.pyplot().close("all")
    picture, axes = canvas.panels(width=6.4, height=1.2)
    canvas.notice(axes[0, 0], f"Not drawn: {reason}")
    return picture, {"missing": reason, "caption": f"Not drawn: {reason}"}


def how_made(
    catalogue: Catalogue, evaluations: list[Evaluation], timesteps: dict[str, list[int]], exits: dict[str, list[str]]
) -> str:
    """A caption's last sentences: on which data and network, what was trained as it is shown, and what only evaluated.

    By an evaluation's name: `timesteps` at which it is shown, where they are others than it runs, and the `exits` shown.
    """
    told = []
    for (data, architecture), own in campaign_results.grouped(
        evaluations, lambda e: (e.run.data.name, e.run.architecture)
    ).items():
        kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for name, (evaluation, *_) in campaign_results.by_name(own).items():
            for kind, words in origin(catalogue, evaluation, timesteps.get(name, [evaluation.timesteps])):
                kinds[kind].append(words)
            title = method_title(catalogue, evaluation.run.method, evaluation.options)
            kinds[NOT_RETRAINED] += [
                f"{title} with the exit of {catalogue.methods[leaves].TITLE}" for leaves in exits.get(name, [])
            ]
        said = [f"{kind}: {'; '.join(dict.fromkeys(words))}." for kind, words in kinds.items() if words]
        told.append(" ".join([f"{data_title(catalogue, data)}, {architecture}.", *said]))
    return " ".join(told) or "Computed from the formulas alone: no training, no evaluation."


def origin(catalogue: Catalogue, evaluation: Evaluation, timesteps: list[int]) -> list[tuple[str, str]]:
    """How an evaluation came to be, as kinds, each with what is of that kind."""
    run = evaluation.run
    trained, at = method_title(catalogue, run.method, run.options), run.network["timesteps"]
    changed = {key: value for key, value in evaluation.options.items() if value != run.options[key]}
    others = [t for t in timesteps if t != at]
    if not changed and not evaluation.probe and at in timesteps:
        return [(TRAINED, trained)] + ([(NOT_RETRAINED, f"{trained}{at_timesteps(others)}")] if others else [])
    words = trained + (f" with {baselines.named(changed)}" if changed else "") + (at_timesteps(timesteps) if others else "")
    words += f" (trained at {at})" if at not in timesteps else ""
    some = evaluation.settings.get("images")
    words += f", first {some} test images" if some else ""
    return [(PROBED if evaluation.probe else NOT_RETRAINED, words)]


def doubts(campaign: Campaign, evaluations: list[Evaluation]) -> str:
    """What is dead in the networks that are shown, in a last sentence, or nothing."""
    told = []
    for evaluation in evaluations:
        try:
            found = recorded.evaluation_entries(campaign, evaluation)[-1]["warnings"]
        except UserError:  # it is missing or damaged, and the figure says so where it needs it
            continue
        told += [f"{evaluation.name}, seed {evaluation.run.seed}: {text}" for text in found]
    return f" Doubtful: {'; '.join(told)}." if told else ""


def at_timesteps(timesteps: list[int]) -> str:
    return f" at T = {', '.join(map(str, timesteps))}"
