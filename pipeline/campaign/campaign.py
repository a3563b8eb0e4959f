"""Resolve a declaration into its runs and evaluations, the paths of their files, and the inputs and targets of the workflow.

Imports no torch.
"""

import shlex
import sys
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from pipeline.campaign import declaration
from pipeline.campaign.declaration import Experiment
from pipeline.campaign.identity import Evaluation, Run, hashed, other_fields
from pipeline.campaign.shown_files import shown_files
from pipeline.core.catalogue import Catalogue
from pipeline.core.checksums import digest
from pipeline.core.errors import UserError, nearest
from pipeline.core.paths import RESULTS
from pipeline.data.data_folders import find
from pipeline.data.identity import Data

STAGES = ("prepare", "train", "evaluate", "aggregate", "partial", "figure", "claims", "report", "bench")
FIGURE_KINDS = ("svg", "pdf", "json")  # the files of a figure: two pictures, and the numbers drawn in them
TABLES = tuple("readings.csv table1.csv table1.md table1.tex table1.html savings.csv energy.csv curves.csv metrics.json".split())
RESOLVED = {  # fields of declared entries of which ids are made by themselves
    "run": {"method", "recipe", "parent", "dataset", "network", "seeds", "timesteps", "options"},
    "evaluation": {"run", "timesteps", "options", "exits", "probe", "settings"},
}


class Campaign:
    """All runs and evaluations of one scale, and the paths of their files."""

    def __init__(
        self,
        experiment: Experiment,
        catalogue: Catalogue,
        data_folders: list[Path] | None = None,
        images: dict[str, Data] | None = None,
        missing: dict[str, str] | None = None,
    ):
        """Bind a declaration to the folders that hold its data sets, in full; without any they are downloaded.

        `images`: data sets by name that are known already, so their source is not read.
        `missing`: reasons why a run's evaluations are left out, by the run's id.
        """
        self.experiment, self.catalogue = experiment, catalogue
        self.data_folders = data_folders or []
        self.folder = RESULTS / experiment.scale
        self.missing = missing or {}
        self._data: dict[str, Data] = dict(images or {})
        self._runs: dict[tuple[str, int], Run] = {}

    # Runs, evaluations and data sets

    def data(self, name: str) -> Data:
        """Identify a declared data set, by a look at its source where it is not known yet."""
        if name not in self._data:
            _, source = find(self.catalogue.datasets[name], self.data_folders)
            counts = self.experiment.datasets[name]
            self._data[name] = Data(name, source.fingerprint, source.origin, source.official, counts.train, counts.test)
        return self._data[name]

    def run(self, label: str, seed: int) -> Run:
        """Resolve a declared run for one seed."""
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
        network_settings = {"backbone": backbone, **chosen, "timesteps": timesteps}
        in_ids = {"backbone": backbone, **hashed(settings)}
        return Run(
            label=label,
            seed=seed,
            method=declared.method,
            options=models["options"].model_dump(),
            data=self.data(dataset),
            network=network_settings,
            recipe=models["recipe"].model_dump(),
            threads=self.experiment.threads,
            precision=self.experiment.precision,
            parent=self.run(declared.parent, seed) if declared.parent else None,
            architecture=self.catalogue.architecture(backbone, settings),
            hashed=hashed(models) | {"network": {key: in_ids[key] for key in network_settings if key in in_ids}},
            others=other_fields(declared, RESOLVED["run"]),
        )

    def network(self, name: str, timesteps: int) -> tuple[str, BaseModel]:
        """Give the backbone of a declared network, and its settings with `timesteps` in place of its own."""
        network = self.experiment.networks[name]
        return network.backbone, self.catalogue.network_settings(network.backbone, network.settings | {"timesteps": timesteps})

    @cached_property
    def runs(self) -> list[Run]:
        """List every declared run, once per seed."""
        labels = self.experiment.runs
        return [self.run(label, seed) for label in labels for seed in declaration.inherited(self.experiment, label, "seeds")]

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """List every declared evaluation, once per seed, but for those of runs in `missing`."""
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
            hashed={"options": hashed(models["options"]), "settings": hashed(models.get("settings", {}), "json")},
            others=other_fields(declared, RESOLVED["evaluation"]),
        )

    def without(self, missing: dict[str, str]) -> "Campaign":
        """Copy this campaign without the evaluations of the runs in `missing`: reasons by the run's id."""
        return Campaign(self.experiment, self.catalogue, self.data_folders, self._data, missing)

    @cached_property
    def measured_runs(self) -> list[Run]:
        """List the runs that have evaluations."""
        run_ids = {evaluation.run.id for evaluation in self.evaluations}
        return [run for run in self.runs if run.id in run_ids]

    def evaluations_of(self, run: Run) -> list[Evaluation]:
        return [evaluation for evaluation in self.evaluations if evaluation.run.id == run.id]

    def named(self, evaluation: str) -> list[Evaluation]:
        """List the evaluations that were declared by one name, one per seed."""
        return [e for e in self.evaluations if e.name == evaluation]

    def find_run(self, run_id: str) -> Run:
        """Find a run by its id. Raises UserError with the nearest id where there is none."""
        return self._find_by_id(run_id, self.runs, "run")

    def find_data(self, data_id: str) -> Data:
        """Find a data set by its id. Raises UserError with the nearest id where there is none."""
        return self._find_by_id(data_id, [self.data(name) for name in self.experiment.datasets], "prepared data set")

    def _find_by_id(self, wanted_id: str, candidates: list, kind: str):
        for candidate in candidates:
            if candidate.id == wanted_id:
                return candidate
        raise UserError(
            f"{kind} {wanted_id!r} is not in scale {self.experiment.scale!r} as it is declared: "
            f"{nearest(wanted_id, (c.id for c in candidates))}"
        )

    # Paths

    def run_folder(self, run: Run) -> Path:
        return self.folder / "runs" / run.id

    def weights_folder(self, run: Run) -> Path:
        return self.folder / "weights" / run.id

    def weights_file(self, run: Run) -> Path:
        return self.weights_folder(run) / "final.safetensors"

    def training_files(self, run: Run) -> list[Path]:
        """List the files that a complete training leaves."""
        return [
            *(self.run_folder(run) / name for name in ("done.json", "record.jsonl", "declaration.yaml")),
            self.weights_file(run),
        ]

    def measured_set(self, run: Run) -> str:
        """Give the stem of the files that a run's evaluations share, as they share a process; it changes with their set."""
        return f"{run.id}-{digest([evaluation.id for evaluation in self.evaluations_of(run)])}"

    def results_file(self, run: Run) -> Path:
        return self.folder / "evals" / f"{self.measured_set(run)}.json"

    def arrays_file(self, run: Run) -> Path:
        return self.folder / "arrays" / f"{self.measured_set(run)}.npz"

    def made_from(self, product: str) -> Path:
        """Give the path of the file that lists what a product was made from; its name changes with `set_digest`."""
        return self.folder / "made" / f"{product}-{self.set_digest}.json"

    @cached_property
    def set_digest(self) -> str:
        """Digest all that products depend on: the declared table and figures, and the ids of all runs and evaluations."""
        report_fields = {
            key: hashed(getattr(self.experiment, key)) for key in ("scale", "about", "table1", "figures", "show_images")
        }
        return digest([report_fields, [run.id for run in self.runs], [evaluation.id for evaluation in self.evaluations]])

    # Inputs and targets of the workflow

    def targets(self) -> list[str]:
        """List every file that the workflow makes for this campaign."""
        files = [path for run in self.runs for path in self.training_files(run)]
        files += [path_of(run) for run in self.measured_runs for path_of in (self.results_file, self.arrays_file)]
        files += [self.made_from(product) for product in self.products]
        files += [self.folder / "figures" / f"{name}.{kind}" for name in self.experiment.figures for kind in FIGURE_KINDS]
        files += [self.folder / "tables" / "claims.csv", self.folder / "report.html"]
        return [*self.prepared(), *map(str, files), *self.tables()]

    def tables(self) -> list[str]:
        return [str(self.folder / "tables" / name) for name in TABLES]

    @property
    def links(self) -> Path:
        """Give the path of the table that pairs our ids with MLflow's, which differ from store to store."""
        return self.folder / "links.csv"

    def prepared(self) -> list[str]:
        """List the files that show that each declared data set is prepared for training."""
        return [str(self.data(name).folder / "meta.json") for name in self.experiment.datasets]

    def prerequisites(self, run_id: str) -> list[str]:
        """List the files that a training starts from."""
        run = self.find_run(run_id)
        parent = [str(self.weights_file(run.parent))] if run.parent else []
        return [*parent, *data_input(run, self.training_files(run))]

    def evaluation_inputs(self, measured_set: str) -> list[str]:
        """List the files that a run's evaluations start from."""
        run = self.find_measured(measured_set)
        return [str(self.weights_file(run)), *data_input(run, [self.results_file(run), self.arrays_file(run)])]

    def find_measured(self, measured_set: str) -> Run:
        """Find the run whose evaluations share the stem `measured_set`. Raises UserError with the nearest where there is none."""
        run_of_set = {self.measured_set(run): run for run in self.measured_runs}
        if measured_set not in run_of_set:
            raise UserError(
                f"evaluations {measured_set!r} are not in scale {self.experiment.scale!r} as it is declared: "
                f"{nearest(measured_set, run_of_set)}"
            )
        return run_of_set[measured_set]

    @property
    def products(self) -> list[str]:
        """Name all that is made of records and results, each after those that it is made from."""
        return ["tables", *self.experiment.figures, "claims", "report"]

    def inputs_of(self, product: str) -> list[str]:
        """List the files that a product is made from: tables, claims, report, or a figure by its name."""
        inputs = {"tables": self.table_inputs, "claims": self.claims_inputs, "report": self.report_inputs}
        return inputs[product]() if product in inputs else self.figure_inputs(product)

    def figure_inputs(self, figure: str) -> list[str]:
        """List the tables, and the data, results and arrays of the evaluations that a figure shows, and what else it reads."""
        runs = {e.run.id: e.run for name in self.experiment.figures[figure].evaluations for e in self.named(name)}
        files = [path_of(run) for run in runs.values() for path_of in (self.results_file, self.arrays_file)]
        data = dict.fromkeys(run.data.folder / "meta.json" for run in runs.values())
        others = getattr(self.catalogue.figures[figure], "reads", lambda folder: [])(self.folder)
        return [str(path) for path in (*((self.made_from("tables"), *data, *files) if files else ()), *others)]

    def table_inputs(self) -> list[str]:
        """List the records and results that tables are made from."""
        records = [self.run_folder(run) / name for run in self.runs for name in ("record.jsonl", "done.json")]
        return [str(path) for path in (*records, *map(self.results_file, self.measured_runs))]

    def claims_inputs(self) -> list[str]:
        """List the files that claims are judged on: those of tables and figures."""
        return [str(self.made_from(product)) for product in ("tables", *self.experiment.figures)]

    def report_inputs(self) -> list[str]:
        """List the files that the report shows."""
        return [*self.claims_inputs(), str(self.made_from("claims")), *map(str, shown_files(self.folder))]

    @property
    def stage(self) -> dict[str, str]:
        """Give each stage's command line by its name, for the interpreter that runs the workflow."""
        data = [part for folder in self.data_folders for part in ("--data", str(folder))]
        common = ["--scale", self.experiment.scale, *data]
        return {name: shlex.join([sys.executable, "-m", f"pipeline.{name}", *common]) for name in STAGES}


def data_input(run: Run, outputs: list[Path]) -> list[str]:
    """List the run's prepared data; empty where it is missing but all outputs exist, as preparing it would make them again."""
    data = run.data.folder / "meta.json"
    return [str(data)] if data.exists() or not all(path.exists() for path in outputs) else []
