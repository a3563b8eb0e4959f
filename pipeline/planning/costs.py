"""Hours of each training and its evaluations, by measured throughput; None where it was not measured. Imports no torch."""

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
    """Hours of one run's training and of its evaluations: all of them, and what is left."""

    train: float | None
    train_left: float | None
    evaluate: float | None
    evaluate_left: float | None


def counts(catalogue: Catalogue, data: Data) -> tuple[int, int] | None:
    """Training and test images that are used: as prepared, else as declared, else all there are, where that is known."""
    meta = data.folder / "meta.json"
    if meta.exists():
        try:
            told = read_json(meta, "counts")["counts"]
            return told["train"], told["test"]
        except (UserError, KeyError, TypeError):
            pass  # what prepares it says what is wrong with it
    most = getattr(catalogue.datasets[data.name], "COUNTS", (None, None))
    found = [declared or known for declared, known in zip((data.train, data.test), most)]
    return None if None in found else (found[0], found[1])


def cost(campaign: Campaign, run: Run, progress: Progress, rates: Rates) -> Cost:
    """What a run takes on the device of `rates`. What is finished or begun took what its record says."""
    epoch, end = epoch_hours(campaign.catalogue, run, rates)
    whole = None if epoch is None else epochs(run) * epoch + (end if run.parent else 0)
    spent = rates.spent.get(run.id)
    if progress.state == FINISHED:
        train, left = (whole if spent is None else spent), 0.0
    elif progress.epoch and epoch is not None:
        left = (epochs(run) - progress.epoch) * epoch
        train = whole if spent is None else spent + left
    else:
        train = left = whole
    own = [evaluation_hours(campaign.catalogue, evaluation, rates) for evaluation in campaign.evaluations_of(run)]
    evaluate = None if None in own else sum(own)
    done = not own or (progress.state == FINISHED and campaign.results_file(run).exists())
    return Cost(train, left, evaluate, 0.0 if done else evaluate)


def epoch_hours(catalogue: Catalogue, run: Run, rates: Rates) -> tuple[float | None, float | None]:
    """Hours of an epoch with its end, and of an end alone, which measures held-out and test images."""
    known, images = speeds(run, rates), counts(catalogue, run.data)
    if known is None or images is None:
        return None, None
    (trained, passed), (train, test) = known, images
    batch, end = run.recipe["batch"], (test + HELD_OUT) / passed / HOUR
    return train // batch * batch / trained / HOUR + end, end


def speeds(run: Run, rates: Rates) -> tuple[float, float] | None:
    """Images per second of a training, and of the measuring at the end of its epochs."""
    trained = rates.trained.get(training_kinds.kind_of(run))
    passed = rates.ended.get(training_kinds.kind_of(run)) or rates.passed.get(training_kinds.pass_of(run))
    return None if trained is None or passed is None else (trained, passed)


def evaluation_hours(catalogue: Catalogue, evaluation: Evaluation, rates: Rates) -> float | None:
    """A pass that measures, one that counts energy, and one over held-out images where exits are declared; a probe's passes."""
    images = counts(catalogue, evaluation.run.data)
    rate = rates.passed.get(training_kinds.pass_kind(evaluation)) or rates.passed.get(training_kinds.pass_of(evaluation.run))
    if rate is None or images is None:
        return None
    if evaluation.probe:
        return probe_images(catalogue, evaluation, images[1]) / rate / HOUR
    energy = 1.0 if rates.energy is None else rates.energy
    return (images[1] * (1 + energy) + (HELD_OUT if evaluation.exits else 0)) / rate / HOUR


def probe_images(catalogue: Catalogue, evaluation: Evaluation, test: int) -> int:
    """Images that a probe passes over, each as often as its settings say; once, where its figure does not say how often."""
    settings = catalogue.probe_settings(evaluation.probe, evaluation.settings)
    passes = getattr(catalogue.figures[evaluation.probe], "passes", lambda _: 1)(settings)
    return min(settings.images or test, test) * passes
