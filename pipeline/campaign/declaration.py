"""Define the fields of a campaign's declaration as frozen models. Imports no torch.

All settings that change a number stand here; where jobs run stands in profiles/.
"""
# Tested in tests/pipeline/campaign/test_read_declaration.py

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST = 1_000_000  # of any count: more is a slip of the keys
NAME = "a name of at most 100 small letters, digits and _, a letter first"  # names stand in names of files
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100, description=NAME)]
Names = Annotated[tuple[Name, ...], Field(description="a list of names")]
Text = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x08\x0e-\x1f]*[^\s\x00-\x1f][^\x00-\x08\x0e-\x1f]*$",  # something that can be seen, and no control characters
        max_length=1000,
        description="a text of at most 1,000 characters, in quotes where it is a number",
    ),
]
Positive = Annotated[int, Field(ge=1, le=MOST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Processes = Annotated[int, Field(le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Policy = Annotated[
    str,
    Field(
        pattern=r"^rand(-(m|n|mmax|inc)\d{1,4}|-(mstd|p)\d{1,4}(\.\d{1,9})?)*$",
        description="a policy of timm's RandAugment, or null",
    ),
]
PAPERS_BACKBONE = "spikformer"


class Frozen(BaseModel):
    """A model that can't be changed and refuses unknown fields, infinity and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dataset(Frozen):
    """The numbers of images that are used, besides the 1,000 held out of training; None uses all there are."""

    train: Positive | None = Field(default=None, examples=[10000])
    test: Positive | None = Field(default=None, examples=[5000])


class Network(BaseModel):
    """A backbone of `models` and its network's settings, which `pipeline.campaign.read_declaration` completes by the backbone."""

    model_config = ConfigDict(frozen=True, extra="allow")

    backbone: Name = PAPERS_BACKBONE

    @property
    def settings(self) -> dict[str, Any]:
        """Give the network's settings by name."""
        return dict(self.model_extra or {})


class Recipe(Frozen):
    """A recipe of training. The defaults are the published recipe (spikformer, cifar10/cifar10.yml), 300 + 10 epochs."""

    epochs: Positive = 300  # of the cosine, warm-up included
    cooldown_epochs: Count = 10  # at min_lr, after the cosine
    batch: Annotated[int, Field(ge=2, le=MOST, multiple_of=2)] = 128  # mixup pairs images within a batch
    lr: Annotated[float, Field(gt=0)] = 5e-4
    min_lr: Annotated[float, Field(ge=0)] = 1e-5
    warmup_lr: Annotated[float, Field(ge=0)] = 1e-5
    warmup_epochs: Count = 20  # the first ones of `epochs`, not a prefix
    weight_decay: Annotated[float, Field(ge=0)] = 0.06  # none on biases and batch norm
    label_smoothing: Share = 0.1
    mixup: Annotated[float, Field(ge=0)] = 0.5  # alpha of the beta distribution
    mixup_off_epoch: Count = 200
    flip: Share = 0.5
    rand_augment: Policy | None = "rand-m9-n1-mstd0.4-inc1"
    erasing: Share = 0.25


class Run(Frozen):
    """A training, once per seed. A retraining names its parent and inherits dataset, network and seeds from it."""

    method: Name = Field(examples=["static"])
    recipe: Name = Field(examples=["pretrain"])
    parent: Name | None = Field(default=None, examples=["static"])
    dataset: Name | None = Field(default=None, examples=["cifar10"])
    network: Name | None = Field(default=None, examples=["small"])
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000)] | None = Field(default=None, examples=[[0, 1, 2]])
    timesteps: Positive | None = Field(default=None, examples=[4])  # None: those of the network
    options: dict[str, Any] = Field(default={}, examples=[{"gamma": 5}])


class Evaluation(Frozen):
    """One forward pass of a run's final weights over the test images; `options` replace those it was trained with.

    `exits` names methods that stop early: their thresholds are chosen in a pass over the held-out images. `probe` names a
    figure whose file measures something else of these weights, by its `settings`, in place of that pass.
    """

    run: Name = Field(examples=["static"])
    timesteps: Positive | None = Field(default=None, examples=[4])
    options: dict[str, Any] = Field(default={}, examples=[{"gamma": 5}])
    exits: Names = Field(default=(), examples=[["dt_snn", "seenn_i"]])
    probe: Name | None = Field(default=None, examples=["masking"])
    settings: dict[str, Any] = Field(default={}, examples=[{"images": 500}])


class Row(Frozen):
    """A row of Table 1: an evaluation after its first `timesteps` (None: all), or stopped by an `exit`."""

    evaluation: Name = Field(examples=["static"])
    timesteps: Positive | None = Field(default=None, examples=[4])
    exit: Name | None = Field(default=None, examples=["dt_snn"])


class Figure(Frozen):
    """A figure, found by its file name in pipeline/reporting/figures/, and the evaluations it shows."""

    evaluations: Names = Field(default=(), examples=[["static", "at_snn"]])


class Experiment(Frozen):
    """A scale's declaration: how it computes, its data sets, networks, recipes, runs, evaluations, Table 1 and figures."""

    scale: Name = Field(examples=["laptop"])
    about: Text = Field(examples=["minutes on two cores"])
    threads: Annotated[Processes, Field(ge=1)] = 1  # of each training: runs are bit-identical only with the same number
    loader_workers: Annotated[Processes, Field(ge=0)] = 0  # processes that prepare batches; changes no number
    precision: Literal["auto", "bf16", "fp16", "float32", "float64"] = "auto"
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 10
    datasets: dict[Name, Dataset] = Field(examples=[{"cifar10": {"train": 10000}}])
    networks: dict[Name, Network] = Field(examples=[{"small": {"depth": 4, "width": 48}}])
    recipes: dict[Name, Recipe] = Field(examples=[{"pretrain": {"epochs": 10}}])
    runs: dict[Name, Run] = Field(examples=[{"static": {"method": "static", "recipe": "pretrain"}}])
    evaluations: dict[Name, Evaluation] = Field(examples=[{"static": {"run": "static"}}])
    table1: tuple[Row, ...] = Field(min_length=1, description="a list of rows", examples=[[{"evaluation": "static"}]])
    figures: dict[Name, Figure] = Field(default={}, examples=[{"masking": {"evaluations": ["static_masked"]}}])
    # In figures; False puts grey in their place, where images of a data set may not be passed on with the results
    show_images: bool = True


def inherited(experiment: Experiment, label: str, key: str) -> Any:
    """Give a run's own value of the field `key`, else its nearest ancestor's, else None."""
    run = experiment.runs[label]
    value = getattr(run, key)
    return inherited(experiment, run.parent, key) if value is None and run.parent else value


def trained_timesteps(experiment: Experiment, label: str) -> int:
    """Give the number of timesteps that a run trains with: its own, else its network's."""
    return experiment.runs[label].timesteps or experiment.networks[inherited(experiment, label, "network")].timesteps


def timesteps_of(experiment: Experiment, evaluation: Evaluation) -> int:
    """Give the number of timesteps that an evaluation runs: its own, else those its run trains with."""
    return evaluation.timesteps or trained_timesteps(experiment, evaluation.run)
