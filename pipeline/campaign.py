"""A declaration made concrete: every run and evaluation with its identity, which is its path. Imports no torch.

An id is a label, the seed and 8 hex digits of the digest of every field that changes numbers, the parent's id and the
data's fingerprint among them. Another seed is another path, another parent makes other children.
"""

import hashlib
import json
import os
import shlex
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from pipeline import declaration
from pipeline.declaration import Experiment
from pipeline.errors import UserError, exit_with, nearest

NUMERICS = 1  # raised by any change of the code that moves a trained number; CHANGELOG says why
CONFIG_KEYS = ("scale", "data")
STAGES = ("prepare", "train", "evaluate", "aggregate", "figure", "report")
RESULTS = Path("results")
PREPARED = Path("data/prepared")


def digest(content) -> str:
    """8 hex digits of what the content says, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Data:
    """A data set as the declaration uses it: where it comes from and how much of it."""

    name: str
    fingerprint: str  # of the source: two sources with the same one hold the same images
    origin: str  # in words, for tables
    official: bool
    train: int | None
    test: int | None

    @property
    def id(self) -> str:
        return f"{self.name}-{digest([self.fingerprint, self.train, self.test])}"

    @property
    def folder(self) -> Path:
        return PREPARED / self.id


@dataclass(frozen=True)
class Run:
    """One training: a declared run with one seed."""

    label: str
    seed: int
    method: str
    options: dict
    data: Data
    network: dict
    recipe: dict
    threads: int
    precision: str
    parent: "Run | None"

    @property
    def identity(self) -> dict:
        """Every field that changes numbers."""
        fields = {key: getattr(self, key) for key in ("seed", "method", "options", "network", "recipe", "threads", "precision")}
        return fields | {"data": self.data.id, "parent": self.parent.id if self.parent else None, "numerics": NUMERICS}

    @cached_property
    def id(self) -> str:
        return f"{self.label}-s{self.seed}-{digest(self.identity)}"

    @property
    def architecture(self) -> str:
        return f"Spikformer-{self.network['depth']}-{self.network['width']}"


@dataclass(frozen=True)
class Evaluation:
    """One pass of a run's final weights over a split."""

    name: str
    run: Run
    split: str
    timesteps: int
    options: dict

    @cached_property
    def id(self) -> str:
        fields = [self.run.id, self.split, self.timesteps, self.options, NUMERICS]
        return f"{self.name}-s{self.run.seed}-{digest(fields)}"


class Campaign:
    """All runs and evaluations of one scale, and where their files are."""

    def __init__(self, experiment: Experiment, data: str | None = None):
        self.experiment = experiment
        self.data_folder = Path(data).expanduser().resolve() if data else None
        self.folder = RESULTS / experiment.scale
        self._data: dict[str, Data] = {}
        self._runs: dict[tuple[str, int], Run] = {}

    # What there is

    def data(self, name: str) -> Data:
        if name not in self._data:
            source = declaration.discovered("pipeline.datasets", name, "dataset").source(self.data_folder)
            use = self.experiment.datasets[name]
            self._data[name] = Data(name, source.fingerprint, source.origin, source.official, use.train, use.test)
        return self._data[name]

    def run(self, label: str, seed: int) -> Run:
        if (label, seed) not in self._runs:
            self._runs[label, seed] = self._resolve(label, seed)
        return self._runs[label, seed]

    def _resolve(self, label: str, seed: int) -> Run:
        declared = self.experiment.runs[label]
        dataset, network = (declaration.inherited(self.experiment, label, key) for key in ("dataset", "network"))
        return Run(
            label=label,
            seed=seed,
            method=declared.method,
            options=declaration.method_options(declared.method, declared.options).model_dump(),
            data=self.data(dataset),
            network=self.experiment.networks[network].model_dump(),
            recipe=self.experiment.recipes[declared.recipe].model_dump(),
            threads=self.experiment.threads,
            precision=self.experiment.precision,
            parent=self.run(declared.parent, seed) if declared.parent else None,
        )

    @cached_property
    def runs(self) -> list[Run]:
        labels = self.experiment.runs
        return [self.run(label, seed) for label in labels for seed in declaration.inherited(self.experiment, label, "seeds")]

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        found = []
        for name, declared in self.experiment.evaluations.items():
            timesteps = declaration.timesteps_of(self.experiment, declared)
            for seed in declaration.inherited(self.experiment, declared.run, "seeds"):
                run = self.run(declared.run, seed)
                options = declaration.method_options(run.method, run.options | declared.options).model_dump()
                found.append(Evaluation(name, run, declared.split, timesteps, options))
        return found

    def find_run(self, run_id: str) -> Run:
        return self._find(run_id, self.runs, "run")

    def find_evaluation(self, evaluation_id: str) -> Evaluation:
        return self._find(evaluation_id, self.evaluations, "evaluation")

    def find_data(self, data_id: str) -> Data:
        return self._find(data_id, [self.data(name) for name in self.experiment.datasets], "prepared data set")

    def _find(self, wanted: str, known: list, what: str):
        for candidate in known:
            if candidate.id == wanted:
                return candidate
        raise UserError(
            f"{what} {wanted!r} is not in scale {self.experiment.scale!r} as it is declared: {nearest(wanted, (c.id for c in known))}"
        )

    # Where it is

    def run_folder(self, run: Run) -> Path:
        return self.folder / "runs" / run.id

    def weights_folder(self, run: Run) -> Path:
        return self.folder / "weights" / run.id

    def evaluation_folder(self, evaluation: Evaluation) -> Path:
        return self.folder / "evals" / evaluation.id

    def made_from(self, product: str) -> Path:
        """The file that says from which runs and evaluations a product was made: others, another name."""
        return self.folder / "made" / f"{product}-{self.set_digest}.json"

    @cached_property
    def set_digest(self) -> str:
        experiment = self.experiment.model_dump(mode="json", include={"scale", "about", "table1", "figures"})
        return digest([experiment, [run.id for run in self.runs], [evaluation.id for evaluation in self.evaluations]])

    # What the workflow asks for

    def targets(self) -> list[str]:
        files = [self.run_folder(run) / name for run in self.runs for name in ("done.json", "record.jsonl", "declaration.yaml")]
        files += [self.weights_folder(run) / "final.safetensors" for run in self.runs]
        files += [self.evaluation_folder(e) / name for e in self.evaluations for name in ("result.json", "tokens.npz")]
        files += [self.made_from(product) for product in ("table1", *self.experiment.figures, "report")]
        files += [self.folder / "tables" / name for name in ("table1.csv", "table1.md", "links.csv")]
        files += [self.folder / "figures" / f"{name}.{kind}" for name in self.experiment.figures for kind in ("png", "json")]
        files += [self.folder / "report.html"]
        return [str(path) for path in files]

    def prerequisites(self, run_id: str) -> list[str]:
        """The files a training starts from."""
        run = self.find_run(run_id)
        parent = [self.weights_folder(run.parent) / "final.safetensors"] if run.parent else []
        return [str(path) for path in (run.data.folder / "meta.json", *parent)]

    def evaluation_inputs(self, evaluation_id: str) -> list[str]:
        run = self.find_evaluation(evaluation_id).run
        return [str(path) for path in (run.data.folder / "meta.json", self.weights_folder(run) / "final.safetensors")]

    def figure_inputs(self, figure: str) -> list[str]:
        wanted = self.experiment.figures[figure].evaluation
        return [str(self.evaluation_folder(e) / "result.json") for e in self.evaluations if e.name == wanted]

    def measured(self) -> list[str]:
        """Everything a table is made from."""
        records = [self.run_folder(run) / name for run in self.runs for name in ("record.jsonl", "done.json")]
        return [str(path) for path in records] + [str(self.evaluation_folder(e) / "result.json") for e in self.evaluations]

    def products(self) -> list[str]:
        return [str(self.made_from(product)) for product in ("table1", *self.experiment.figures)]

    @property
    def stage(self) -> dict[str, str]:
        """How a rule calls each stage: with the interpreter that runs the workflow."""
        data = ["--data", str(self.data_folder)] if self.data_folder else []
        common = ["--scale", self.experiment.scale, *data]
        return {name: shlex.join([sys.executable, "-m", f"pipeline.{name}", *common]) for name in STAGES}


def open_campaign(scale: str, data: str | None = None) -> Campaign:
    """The campaign of a scale; images come from `data`, from $ATSNN_DATA, or from their official address."""
    return Campaign(declaration.load(scale), data or os.environ.get("ATSNN_DATA") or None)


def from_config(config: dict) -> Campaign:
    """The campaign that Snakemake's config asks for; a mistake in it is one line and exit code 2."""
    try:
        for key in config:
            if key not in CONFIG_KEYS:
                raise UserError(f"unknown --config key {key!r}: {nearest(key, CONFIG_KEYS)}")
        campaign = open_campaign(str(config["scale"]), config.get("data"))
        campaign.targets()
        return campaign
    except UserError as error:
        exit_with(error, "Snakefile")


def describe(run: Run) -> dict:
    """A run's declaration in full, as its folder keeps it."""
    origin = asdict(run.data) | {"id": run.data.id}
    return {"id": run.id, "label": run.label, **run.identity, "data": origin}


def common_arguments(parser) -> None:
    parser.add_argument("--scale", default="smoke", help="a declaration in workflow/experiments (default: smoke)")
    parser.add_argument("--data", metavar="FOLDER", help="where the official data sets lie, instead of downloading them")
