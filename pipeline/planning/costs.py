"""Estimate hours of each training and its evaluations by measured throughput; None where it is unknown. Imports no torch."""
# Tested in tests/pipeline/planning/test_plan.py

from dataclasses import dataclass

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation, Run
from pipeline.core.atomic_files import read_json
from pipeline.core.catalogue import Catalogue
from pipeline.core.errors import UserError
from pipeline.data.identity import Data
from pipeline.data.sources import HELD_OUT
from pipeline.planning import training_kinds
from pipeline.planning.measured_rates import HOUR, Rates
from pipeline.planning.progress import FINISHED, Progress, epochs


@dataclass(frozen=True)
class Cost:
    """Hours of one run's training and of its evaluations: all of them, and those left to do; None where they are unknown."""

    train: float | None
    train_left: float | None
    evaluate: float | None
    evaluate_left: float | None


def counts(catalogue: Catalogue, data: Data) -> tuple[int, int] | None:
    """Count the training and test images used: as prepared, else as declared, else all there are; None where that is unknown."""
    meta = data.folder / "meta.json"
    if meta.exists():
        try:
            prepared = read_json(meta, "counts")["counts"]
            return prepared["train"], prepared["test"]
        except (UserError, KeyError, TypeError):
            pass  # the stage that prepares it reports the damage
    all_counts = getattr(catalogue.datasets[data.name], "COUNTS", (None, None))
    image_counts = [declared or known for declared, known in zip((data.train, data.test), all_counts)]
    return None if None in image_counts else (image_counts[0], image_counts[1])


def cost(campaign: Campaign, run: Run, progress: Progress, rates: Rates) -> Cost:
    """Estimate a run's hours on the device of `rates`; what is finished or begun took the hours that its record says."""
    per_epoch, per_end = epoch_hours(campaign.catalogue, run, rates)
    whole = None if per_epoch is None else epochs(run) * per_epoch + (per_end if run.parent else 0)
    spent = rates.spent.get(run.id)
    if progress.state == FINISHED:
        train, left = (whole if spent is None else spent), 0.0
    elif progress.epoch and per_epoch is not None:
        left = (epochs(run) - progress.epoch) * per_epoch
        train = whole if spent is None else spent + left
    else:
        train = left = whole
    hours = [evaluation_hours(campaign.catalogue, evaluation, rates) for evaluation in campaign.evaluations_of(run)]
    evaluate = None if None in hours else sum(hours)
    done = not hours or (progress.state == FINISHED and campaign.results_file(run).exists())
    return Cost(train, left, evaluate, 0.0 if done else evaluate)


def epoch_hours(catalogue: Catalogue, run: Run, rates: Rates) -> tuple[float | None, float | None]:
    """Compute the hours of an epoch with its end, and of an end alone, which measures held-out and test images."""
    image_rates, image_counts = speeds(run, rates), counts(catalogue, run.data)
    if image_rates is None or image_counts is None:
        return None, None
    (trained, passed), (train, test) = image_rates, image_counts
    batch, end = run.recipe["batch"], (test + HELD_OUT) / passed / HOUR
    return train // batch * batch / trained / HOUR + end, end


def speeds(run: Run, rates: Rates) -> tuple[float, float] | None:
    """Look up images per second of a training, and of the measuring at the end of its epochs; None where one was not measured."""
    trained = rates.trained.get(training_kinds.kind_of(run))
    passed = rates.ended.get(training_kinds.kind_of(run)) or rates.passed.get(training_kinds.pass_of(run))
    return None if trained is None or passed is None else (trained, passed)


def evaluation_hours(catalogue: Catalogue, evaluation: Evaluation, rates: Rates) -> float | None:
    """Estimate the hours of an evaluation; None where its rate or its number of images is unknown.

    It is one pass that measures, one that counts energy, and one over held-out images where exits are declared; for a probe, the
    probe's passes.
    """
    image_counts = counts(catalogue, evaluation.run.data)
    rate = rates.passed.get(training_kinds.pass_kind(evaluation)) or rates.passed.get(training_kinds.pass_of(evaluation.run))
    if rate is None or image_counts is None:
        return None
    if evaluation.probe:
        return probe_images(catalogue, evaluation, image_counts[1]) / rate / HOUR
    energy = 1.0 if rates.energy is None else rates.energy
    return (image_counts[1] * (1 + energy) + (HELD_OUT if evaluation.exits else 0)) / rate / HOUR


def probe_images(catalogue: Catalogue, evaluation: Evaluation, test: int) -> int:
    """Count the images that a probe passes over, each as often as its figure says for its settings; once where it doesn't say."""
    settings = catalogue.probe_settings(evaluation.probe, evaluation.settings)
    passes = getattr(catalogue.figures[evaluation.probe], "passes", lambda _: 1)(settings)
    return min(settings.images or test, test) * passes
