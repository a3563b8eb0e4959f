"""A declaration made concrete: all its runs and evaluations, where their files are, and what the workflow asks for.

Imports no torch.
"""

import shlex
import sys
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from pipeline.campaign import declaration
from pipeline.campaign.declaration import Experiment
from pipeline.campaign.identity import Evaluation, Run, added_fields, hashed, unhashed_fields
from pipeline.core.catalogue import Catalogue
from pipeline.core.checksums import digest
from pipeline.core.errors import UserError, nearest
from pipeline.core.paths import RESULTS
from pipeline.data.identity import Data

STAGES = ("prepare", "train", "evaluate", "aggregate", "partial", "figure", "claims", "report", "bench")
FAULTS = RESULTS / "faults.jsonl"  # the log of `make faults`
FIGURE_KINDS = ("svg", "pdf", "json")  # a figure's files: two pictures, and the numbers that are drawn
TABLES = (
    "readings.csv",
    "table1.csv",
    "table1.md",
    "table1.tex",
    "table1.html",
    "savings.csv",
    "energy.csv",
    "curves.csv",
    "metrics.json",
)


class Campaign:
    """All runs and evaluations of one scale, and where their files are."""

    def __init__(
        self,
        experiment: Experiment,
        catalogue: Catalogue,
        data: str | None = None,
        images: dict[str, Data] | None = None,
        missing: dict[str, str] | None = None,
    ):
        """`images`: data sets by name, where they are known without a look at their source.

        `missing`: runs whose evaluations are left out, by their ids, each with the reason.
        """
        self.experiment, self.catalogue = experiment, catalogue
        self.data_folder = Path(data).expanduser().resolve() if data else None
        self.folder = RESULTS / experiment.scale
        self.missing = missing or {}
        self._data: dict[str, Data] = dict(images or {})
        self._runs: dict[tuple[str, int], Run] = {}

    # What there is

    def data(self, name: str) -> Data:
        if name not in self._data:
            source = self.catalogue.datasets[name].source(self.data_folder)
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
        timesteps = declaration.trained_timesteps(self.experiment, label)
        backbone, settings = self.network(network, timesteps)
        models = {
            "options": self.catalogue.method_options(declared.method, declared.options),
            "network": settings,
            "recipe": self.experiment.recipes[declared.recipe],
        }
        chosen = {key: value for key, value in settings.model_dump().items() if key != "timesteps"}
        return Run(
            label=label,
            seed=seed,
            method=declared.method,
            options=models["options"].model_dump(),
            data=self.data(dataset),
            network={"backbone": backbone, **chosen, "timesteps": timesteps},
            recipe=models["recipe"].model_dump(),
            threads=self.experiment.threads,
            precision=self.experiment.precision,
            parent=self.run(declared.parent, seed) if declared.parent else None,
            architecture=self.catalogue.architecture(backbone, settings),
            unhashed=unhashed_fields(**models),
        )

    def network(self, name: str, timesteps: int) -> tuple[str, BaseModel]:
        """A declared network's backbone, and its settings at other timesteps."""
        network = self.experiment.networks[name]
        return network.backbone, self.catalogue.network_settings(network.backbone, network.settings | {"timesteps": timesteps})

    @cached_property
    def runs(self) -> list[Run]:
        labels = self.experiment.runs
        return [self.run(label, seed) for label in labels for seed in declaration.inherited(self.experiment, label, "seeds")]

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        return [
            self._evaluation(name, run)
            for name, declared in self.experiment.evaluations.items()
            for seed in declaration.inherited(self.experiment, declared.run, "seeds")
            if (run := self.run(declared.run, seed)).id not in self.missing
        ]

    def _evaluation(self, name: str, run: Run) -> Evaluation:
        declared = self.experiment.evaluations[name]
        timesteps = declaration.timesteps_of(self.experiment, declared)
        models = {"options": self.catalogue.method_options(run.method, run.options | declared.options)}
        if declared.probe:
            models["settings"] = self.catalogue.probe_settings(declared.probe, declared.settings)
        return Evaluation(
            name=name,
            run=run,
            timesteps=timesteps,
            options=models["options"].model_dump(),
            exits=declared.exits,
            probe=declared.probe,
            settings=models["settings"].model_dump(mode="json") if declared.probe else {},
            added=added_fields(declared),
            unhashed=unhashed_fields(**models),
        )

    def without(self, missing: dict[str, str]) -> "Campaign":
        """This campaign without the evaluations of some runs, by their ids, each with the reason why it lacks them."""
        return Campaign(self.experiment, self.catalogue, str(self.data_folder or "") or None, self._data, missing)

    @cached_property
    def measured_runs(self) -> list[Run]:
        """The runs that have evaluations."""
        named = {evaluation.run.id for evaluation in self.evaluations}
        return [run for run in self.runs if run.id in named]

    def evaluations_of(self, run: Run) -> list[Evaluation]:
        return [evaluation for evaluation in self.evaluations if evaluation.run.id == run.id]

    def named(self, evaluation: str) -> list[Evaluation]:
        """A declared evaluation, once per seed."""
        return [e for e in self.evaluations if e.name == evaluation]

    def find_run(self, run_id: str) -> Run:
        return self._find(run_id, self.runs, "run")

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

    def weights_file(self, run: Run) -> Path:
        return self.weights_folder(run) / "final.safetensors"

    def training_files(self, run: Run) -> list[Path]:
        """What a complete training leaves."""
        return [
            *(self.run_folder(run) / name for name in ("done.json", "record.jsonl", "declaration.yaml")),
            self.weights_file(run),
        ]

    def measured_set(self, run: Run) -> str:
        """The name of a run's evaluations together: other ones, another name. They share a process and its files."""
        return f"{run.id}-{digest([evaluation.id for evaluation in self.evaluations_of(run)])}"

    def results_file(self, run: Run) -> Path:
        return self.folder / "evals" / f"{self.measured_set(run)}.json"

    def arrays_file(self, run: Run) -> Path:
        return self.folder / "arrays" / f"{self.measured_set(run)}.npz"

    def made_from(self, product: str) -> Path:
        """The file that says from which runs and evaluations a product was made: others, another name."""
        return self.folder / "made" / f"{product}-{self.set_digest}.json"

    @cached_property
    def set_digest(self) -> str:
        shown = {key: hashed(getattr(self.experiment, key)) for key in ("scale", "about", "table1", "figures", "show_images")}
        return digest([shown, [run.id for run in self.runs], [evaluation.id for evaluation in self.evaluations]])

    # What the workflow asks for

    def targets(self) -> list[str]:
        files = [path for run in self.runs for path in self.training_files(run)]
        files += [place(run) for run in self.measured_runs for place in (self.results_file, self.arrays_file)]
        files += [self.made_from(product) for product in ("tables", *self.experiment.figures, "claims", "report")]
        files += [self.folder / "figures" / f"{name}.{kind}" for name in self.experiment.figures for kind in FIGURE_KINDS]
        files += [self.folder / "tables" / "claims.csv", self.folder / "report.html"]
        return [*self.prepared(), *map(str, files), *self.tables()]

    def tables(self) -> list[str]:
        return [str(self.folder / "tables" / name) for name in TABLES]

    @property
    def links(self) -> Path:
        """Our ids and MLflow's, which are others in each store."""
        return self.folder / "links.csv"

    def prepared(self) -> list[str]:
        """Every data set of the declaration, ready for training."""
        return [str(self.data(name).folder / "meta.json") for name in self.experiment.datasets]

    def prerequisites(self, run_id: str) -> list[str]:
        """The files a training starts from."""
        run = self.find_run(run_id)
        parent = [str(self.weights_file(run.parent))] if run.parent else []
        return [*parent, *data_for(run, self.training_files(run))]

    def evaluation_inputs(self, measured_set: str) -> list[str]:
        """The files that a run's evaluations start from."""
        run = self.find_measured(measured_set)
        return [str(self.weights_file(run)), *data_for(run, [self.results_file(run), self.arrays_file(run)])]

    def find_measured(self, measured_set: str) -> Run:
        """The run whose evaluations have this name together."""
        sets = {self.measured_set(run): run for run in self.measured_runs}
        if measured_set not in sets:
            raise UserError(
                f"evaluations {measured_set!r} are not in scale {self.experiment.scale!r} as it is declared: {nearest(measured_set, sets)}"
            )
        return sets[measured_set]

    def inputs_of(self, product: str) -> list[str]:
        """What tables, claims, report or a figure are made from."""
        known = {"tables": self.measured, "claims": self.products, "report": self.shown}
        return known[product]() if product in known else self.figure_inputs(product)

    def figure_inputs(self, figure: str) -> list[str]:
        """The tables, and the data, results and arrays of the evaluations that a figure shows; nothing, if it shows none."""
        runs = {e.run.id: e.run for name in self.experiment.figures[figure].evaluations for e in self.named(name)}
        files = [place(run) for run in runs.values() for place in (self.results_file, self.arrays_file)]
        data = dict.fromkeys(run.data.folder / "meta.json" for run in runs.values())
        return [str(path) for path in (self.made_from("tables"), *data, *files)] if files else []

    def measured(self) -> list[str]:
        """Everything a table is made from."""
        records = [self.run_folder(run) / name for run in self.runs for name in ("record.jsonl", "done.json")]
        return [str(path) for path in (*records, *map(self.results_file, self.measured_runs))]

    def products(self) -> list[str]:
        """What claims are judged on: tables and figures."""
        return [str(self.made_from(product)) for product in ("tables", *self.experiment.figures)]

    def shown(self) -> list[str]:
        """What the report shows."""
        asked_for = (self.folder / "bench" / "index.html", FAULTS)  # speed and faults, where they were measured
        return [*self.products(), str(self.made_from("claims")), *(str(path) for path in asked_for if path.exists())]

    @property
    def stage(self) -> dict[str, str]:
        """How a rule calls each stage: with the interpreter that runs the workflow."""
        data = ["--data", str(self.data_folder)] if self.data_folder else []
        common = ["--scale", self.experiment.scale, *data]
        return {name: shlex.join([sys.executable, "-m", f"pipeline.{name}", *common]) for name in STAGES}


def data_for(run: Run, outputs: list[Path]) -> list[str]:
    """A run's prepared data; none where they are missing and nothing is left to make from them: preparing them would make it anew."""
    data = run.data.folder / "meta.json"
    return [str(data)] if data.exists() or not all(path.exists() for path in outputs) else []
