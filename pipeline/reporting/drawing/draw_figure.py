"""Draw a figure of the declaration from evaluations, or say in its place what it lacks.

The command is pipeline.figure, whose text says how it is used and by which rules.
"""
# Tested in tests/pipeline/reporting/figures/test_figures.py

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
    """Draw a figure and write its files; return its numbers. Raises UserError where the scale does not declare it."""
    if name not in campaign.experiment.figures:
        raise UserError(
            f"figure {name!r} is not in scale {campaign.experiment.scale!r}: {nearest(name, campaign.experiment.figures)}"
        )
    evaluations = [e for wanted in campaign.experiment.figures[name].evaluations for e in campaign.named(wanted)]
    module = campaign.catalogue.figures[name]
    picture, numbers = draw_or_explain(campaign, module, name, evaluations)
    numbers = {
        "title": module.TITLE,
        "definition": module.DEFINITION,
        "scale": campaign.experiment.scale,
        "missing": None,
    } | numbers
    training_text = numbers.get("made") or describe_training(
        campaign.catalogue, evaluations, numbers.get("timesteps", {}), numbers.get("exits", {})
    )
    numbers |= {
        "made": training_text + warnings_text(campaign, evaluations),
        "evaluations": [{"id": e.id, "name": e.name, "run": e.run.id} for e in evaluations],
    }
    canvas.save(picture, campaign.folder / "figures" / name)
    replace_json(campaign.folder / "figures" / f"{name}.json", numbers)
    mark_made(campaign, name)
    return numbers


def draw_or_explain(campaign: Campaign, module, name: str, evaluations: list[Evaluation]) -> tuple:
    """Draw the picture and its numbers; where that fails, a notice with the reason in place of both."""
    try:
        for path in campaign.figure_inputs(name):
            if not os.path.exists(path):
                raise UserError(f"{path} is missing: run snakemake, which makes it, or evaluate first")
        picture, numbers = module.draw(campaign, evaluations)
        json.dumps(numbers)  # numbers that JSON can't hold are a fault of the figure too
        return picture, numbers
    except UserError as error:
        reason = str(error)
    except Exception as error:  # a fault in one figure does not stop the others
        traceback.print_exc(file=sys.stderr)
        reason = f"{type(error).__name__}: {error}"
    canvas.pyplot().close("all")
    picture, axes = canvas.panels(width=6.4, height=1.2)
    canvas.notice(axes[0, 0], f"Not drawn: {reason}")
    return picture, {"missing": reason, "caption": f"Not drawn: {reason}"}


def describe_training(
    catalogue: Catalogue, evaluations: list[Evaluation], timesteps: dict[str, list[int]], exits: dict[str, list[str]]
) -> str:
    """Write a caption's last sentences: data, network, and which networks were trained as shown and which only evaluated so.

    By an evaluation's name: `timesteps` at which it is shown, where they are others than it runs, and the `exits` shown.
    """
    paragraphs = []
    for (data, architecture), group in campaign_results.grouped(
        evaluations, lambda e: (e.run.data.name, e.run.architecture)
    ).items():
        kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for name, (evaluation, *_) in campaign_results.by_name(group).items():
            for kind, words in origin(catalogue, evaluation, timesteps.get(name, [evaluation.timesteps])):
                kinds[kind].append(words)
            title = method_title(catalogue, evaluation.run.method, evaluation.options)
            kinds[NOT_RETRAINED] += [
                f"{title} with the exit of {catalogue.methods[exit_method].TITLE}" for exit_method in exits.get(name, [])
            ]
        sentences = [f"{kind}: {'; '.join(dict.fromkeys(words))}." for kind, words in kinds.items() if words]
        paragraphs.append(" ".join([f"{data_title(catalogue, data)}, {architecture}.", *sentences]))
    return " ".join(paragraphs) or "Computed from the formulas alone: no training, no evaluation."


def origin(catalogue: Catalogue, evaluation: Evaluation, timesteps: list[int]) -> list[tuple[str, str]]:
    """Describe how an evaluation was trained and evaluated: pairs of a kind (of KINDS) and the words for it."""
    run = evaluation.run
    trained, at = method_title(catalogue, run.method, run.options), run.network["timesteps"]
    changed = {key: value for key, value in evaluation.options.items() if value != run.options[key]}
    others = [t for t in timesteps if t != at]
    if not changed and not evaluation.probe and at in timesteps:
        return [(TRAINED, trained)] + ([(NOT_RETRAINED, f"{trained}{at_timesteps(others)}")] if others else [])
    words = (
        trained + (f" with {baselines.options_text(changed)}" if changed else "") + (at_timesteps(timesteps) if others else "")
    )
    words += f" (trained at {at})" if at not in timesteps else ""
    image_count = evaluation.settings.get("images")
    words += f", first {image_count} test images" if image_count else ""
    return [(PROBED if evaluation.probe else NOT_RETRAINED, words)]


def warnings_text(campaign: Campaign, evaluations: list[Evaluation]) -> str:
    """Write a last sentence with the warnings about the networks that are shown; empty where there are none."""
    texts = []
    for evaluation in evaluations:
        try:
            warnings = recorded.evaluation_entries(campaign, evaluation)[-1]["warnings"]
        except UserError:  # missing or damaged: the figure itself says so where it needs it
            continue
        texts += [f"{evaluation.name}, seed {evaluation.run.seed}: {warning}" for warning in warnings]
    return f" Doubtful: {'; '.join(texts)}." if texts else ""


def at_timesteps(timesteps: list[int]) -> str:
    """Write timesteps for a caption: " at T = 1, 2"."""
    return f" at T = {', '.join(map(str, timesteps))}"
