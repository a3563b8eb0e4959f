"""The declaration of a campaign, workflow/experiments/<scale>.yaml: parsed, validated, frozen. Imports no torch.

Everything that changes a number is said here; where jobs run is said in workflow/profiles/.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UserError, nearest

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = ROOT / "workflow" / "experiments"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(Frozen):
    """How many images are used, besides the 1,000 held out of training; all there are where nothing is said."""

    train: Positive | None = None
    test: Positive | None = None


class Network(Frozen):
    """A Spikformer; its name in tables is Spikformer-<depth>-<width>."""

    depth: Positive = 4
    width: Positive = 384
    heads: Positive = 12
    timesteps: Positive = 4


class Recipe(Frozen):
    """How a network is trained. The defaults are the published recipe (spikformer, cifar10/cifar10.yml), 300 + 10 epochs."""

    epochs: Positive = 300  # of the cosine, warm-up included
    cooldown_epochs: Annotated[int, Field(ge=0)] = 10  # at min_lr, after the cosine
    batch: Annotated[int, Field(gt=0, multiple_of=2)] = 128  # mixup pairs images within a batch
    lr: Annotated[float, Field(gt=0)] = 5e-4
    min_lr: Annotated[float, Field(ge=0)] = 1e-5
    warmup_lr: Annotated[float, Field(ge=0)] = 1e-5
    warmup_epochs: Annotated[int, Field(ge=0)] = 20  # the first ones of `epochs`, not a prefix
    weight_decay: Annotated[float, Field(ge=0)] = 0.06  # none on biases and batch norm
    label_smoothing: Share = 0.1
    mixup: Annotated[float, Field(ge=0)] = 0.5  # alpha of the beta distribution
    mixup_off_epoch: Annotated[int, Field(ge=0)] = 200
    flip: Share = 0.5
    rand_augment: Annotated[str, Field(pattern=r"^rand(-(m|n|mmax|inc)\d+|-(mstd|p)\d+(\.\d+)?)*$")] | None = (
        "rand-m9-n1-mstd0.4-inc1"
    )
    erasing: Share = 0.25


class Run(Frozen):
    """A training, once per seed. A retraining names its parent and inherits dataset, network and seeds from it."""

    method: Name
    recipe: Name
    parent: Name | None = None
    dataset: Name | None = None
    network: Name | None = None
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    options: dict[str, Any] = {}


class Evaluation(Frozen):
    """One forward pass of a run's final weights over a split; `options` replace those it was trained with."""

    run: Name
    split: Literal["test", "heldout"] = "test"
    timesteps: Positive | None = None
    options: dict[str, Any] = {}


class Row(Frozen):
    """A row of Table 1: an evaluation read after its first `timesteps` (all of them where nothing is said)."""

    evaluation: Name
    timesteps: Positive | None = None


class Figure(Frozen):
    """A figure, found by its file name in pipeline/figures/, and the evaluation it shows."""

    evaluation: Name


class Experiment(Frozen):
    scale: Name
    about: str
    threads: Positive = 1  # of each training: runs are bit-identical only with the same number
    loader_workers: Annotated[int, Field(ge=0)] = 0  # processes that prepare batches; changes no number
    precision: Literal["auto", "bf16", "fp16", "float32", "float64"] = "auto"
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 10
    datasets: dict[Name, Dataset]
    networks: dict[Name, Network]
    recipes: dict[Name, Recipe]
    runs: dict[Name, Run]
    evaluations: dict[Name, Evaluation]
    table1: Annotated[tuple[Row, ...], Field(min_length=1)]
    figures: dict[Name, Figure] = {}


def load(scale: str, folder: Path = EXPERIMENTS) -> Experiment:
    """The declaration of a scale. Raises UserError with file, key and the nearest valid name."""
    path = folder / f"{scale}.yaml"
    if not path.is_file():
        raise UserError(
            f"scale {scale!r} has no declaration {path.name} in {shown(folder)}: {nearest(scale, (p.stem for p in folder.glob('*.yaml')))}"
        )
    try:
        content = yaml.load(path.read_text(), Loader=UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(path)} is not valid YAML: {error}") from error
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{shown(path)}: {'; '.join(explain(fault, content) for fault in error.errors())}") from error
    try:
        check(experiment, scale)
    except UserError as error:
        raise UserError(f"{shown(path)}: {error}") from error
    return experiment


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a repeated key is an error, not a silent replacement."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is repeated", node.start_mark)
        return super().construct_mapping(node, deep)


def explain(fault: dict, content: Any) -> str:
    """One pydantic fault as key and remedy."""
    where = [str(part) for part in fault["loc"] if part != "[key]"]
    if fault["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(where)}: {nearest(where[-1], known_keys(where[:-1]))}"
    return f"{'.'.join(where) or 'the file'}: {fault['msg'].lower()}"


def known_keys(where: list[str]) -> list[str]:
    """The keys allowed at a place in the declaration."""
    sections = {"datasets": Dataset, "networks": Network, "recipes": Recipe, "runs": Run}
    sections |= {"evaluations": Evaluation, "table1": Row, "figures": Figure}
    model = sections.get(where[0], Experiment) if where else Experiment
    return list(model.model_fields)


def method(name: str):
    """The module baselines/<name>.py. Raises UserError with the nearest known name."""
    return discovered("baselines", name, "method")


def discovered(package: str, name: str, what: str):
    """A module found by its file name."""
    folder = importlib.import_module(package)
    names = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    if name not in names:
        raise UserError(f"{what} {name!r} is unknown: {nearest(name, names)}")
    return importlib.import_module(f"{package}.{name}")


def method_options(name: str, options: dict[str, Any]):
    """A method's options, validated by its own model. Raises UserError with the nearest valid name."""
    allowed = method(name).Options
    try:
        return allowed(**options)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            key = str(fault["loc"][0]) if fault["loc"] else "options"
            unknown = fault["type"] == "extra_forbidden"
            faults.append(
                f"unknown option {key}: {nearest(key, allowed.model_fields)}"
                if unknown
                else f"option {key}: {fault['msg'].lower()}"
            )
        raise UserError(f"method {name}: {'; '.join(faults)}") from error


def checked_options(name: str, options: dict[str, Any], where: str) -> None:
    try:
        method_options(name, options)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def check(experiment: Experiment, scale: str) -> None:
    """What holds between the parts: every name exists, parents come to an end, children fit their parents."""
    if experiment.scale != scale:
        raise UserError(f"scale is {experiment.scale!r}, the file's name says {scale!r}: make them equal")
    for name in experiment.datasets:
        discovered("pipeline.datasets", name, "dataset")
    for name in experiment.figures:
        discovered("pipeline.figures", name, "figure")
    for name, network in experiment.networks.items():
        if network.width % network.heads or network.width % 8:
            raise UserError(f"networks.{name}: width {network.width} must be a multiple of 8 and of heads ({network.heads})")
    for name, recipe in experiment.recipes.items():
        if recipe.warmup_epochs > recipe.epochs:
            raise UserError(
                f"recipes.{name}: warmup_epochs {recipe.warmup_epochs} is more than epochs {recipe.epochs}, of which it is part"
            )
    for label in experiment.runs:
        check_run(experiment, label)
    for name, evaluation in experiment.evaluations.items():
        known(evaluation.run, experiment.runs, f"evaluations.{name}.run")
        run = experiment.runs[evaluation.run]
        checked_options(run.method, run.options | evaluation.options, f"evaluations.{name}")
    for index, row in enumerate(experiment.table1):
        check_row(experiment, row, f"table1.{index}")
    for name, figure in experiment.figures.items():
        known(figure.evaluation, experiment.evaluations, f"figures.{name}.evaluation")


def check_run(experiment: Experiment, label: str) -> None:
    run = experiment.runs[label]
    known(run.recipe, experiment.recipes, f"runs.{label}.recipe")
    checked_options(run.method, run.options, f"runs.{label}")
    ancestry = [label]
    while (parent := experiment.runs[ancestry[-1]].parent) is not None:
        known(parent, experiment.runs, f"runs.{ancestry[-1]}.parent")
        if parent in ancestry:
            raise UserError(
                f"runs.{label}.parent: a cycle, {' <- '.join([*ancestry, parent])}: one of them must start without a parent"
            )
        ancestry.append(parent)
    for key in ("dataset", "network", "seeds"):
        if inherited(experiment, label, key) is None:
            raise UserError(f"runs.{label}.{key} is missing: a run without a parent must say it")
    seeds = inherited(experiment, label, "seeds")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"runs.{label}.seeds: {list(seeds)} holds a seed twice: each is one run")
    known(inherited(experiment, label, "dataset"), experiment.datasets, f"runs.{label}.dataset")
    known(inherited(experiment, label, "network"), experiment.networks, f"runs.{label}.network")
    if run.parent:
        check_child(experiment, label, run.parent)


def check_child(experiment: Experiment, label: str, parent: str) -> None:
    for key in ("dataset", "network"):
        ours, theirs = inherited(experiment, label, key), inherited(experiment, parent, key)
        if ours != theirs:
            raise UserError(
                f"runs.{label}.{key} is {ours!r}, its parent {parent!r} has {theirs!r}: weights carry over only to the same one"
            )
    extra = set(inherited(experiment, label, "seeds")) - set(inherited(experiment, parent, "seeds"))
    if extra:
        raise UserError(
            f"runs.{label}.seeds: {sorted(extra)} not among the seeds of its parent {parent!r}: each seed starts from the parent of that seed"
        )


def check_row(experiment: Experiment, row: Row, where: str) -> None:
    known(row.evaluation, experiment.evaluations, f"{where}.evaluation")
    if experiment.evaluations[row.evaluation].split != "test":
        raise UserError(
            f"{where}.evaluation: {row.evaluation!r} is of held-out images, Table 1 is of test images: evaluate split test"
        )
    longest = timesteps_of(experiment, experiment.evaluations[row.evaluation])
    if row.timesteps and row.timesteps > longest:
        raise UserError(
            f"{where}.timesteps is {row.timesteps}, but evaluation {row.evaluation!r} runs {longest}: raise evaluations.{row.evaluation}.timesteps"
        )


def known(name: str, section: dict, where: str) -> None:
    if name not in section:
        raise UserError(f"{where}: {name!r} is not declared: {nearest(name, section)}")


def inherited(experiment: Experiment, label: str, key: str) -> Any:
    """A run's own value, else its nearest ancestor's, else None."""
    run = experiment.runs[label]
    value = getattr(run, key)
    return inherited(experiment, run.parent, key) if value is None and run.parent else value


def timesteps_of(experiment: Experiment, evaluation: Evaluation) -> int:
    return evaluation.timesteps or experiment.networks[inherited(experiment, evaluation.run, "network")].timesteps
