"""Look up the numbers that the paper's claims are measured on, in a campaign's tables and figures."""
# Tested in tests/pipeline/reporting/claims/test_judge.py

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.declaration import PAPERS_BACKBONE
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import method_title
from pipeline.core import atomic_files
from pipeline.core.errors import UserError
from pipeline.reporting.drawing import campaign_results
from pipeline.reporting.tables.readings import as_in_paper
from pipeline.reporting.tables.savings import pretrained

TRAINED, ALL = "trained", "all"  # timesteps
TEXT_COLUMNS = (
    "as_in_paper",
    "dataset",
    "method",
    "exit",
    "gamma",
    "parent",
    "run",
    "seed",
    "evaluation",
    "evaluation_id",
    "warnings",
)
NUMBER_COLUMNS = ("timesteps", "trained_timesteps", "accuracy", "avg_tokens", "energy_nonzero")  # of readings.csv, as those above


class Unmeasured(Exception):
    """A campaign lacks what a claim needs; the message says what."""


class Undecided(Exception):
    """A claim was measured on networks that the paper's sentence is not about; the message names them."""

    def __init__(self, values: pd.Series, note: str):
        super().__init__(note)
        self.values = values


@dataclass(frozen=True)
class Evidence:
    """A campaign with its tables; look-ups give only networks that were trained with the paper's options."""

    campaign: Campaign
    readings: pd.DataFrame
    layers: pd.DataFrame
    used: list[str] = field(default_factory=list)  # ids of the evaluations that a claim has been measured on so far

    @classmethod
    def read(cls, campaign: Campaign) -> "Evidence":
        """Read the tables of a campaign. Raises MissingData where one is missing or damaged."""
        readings = campaign_results.read_table(campaign, "readings", *TEXT_COLUMNS, numbers=NUMBER_COLUMNS, keep_default_na=False)
        layers = campaign_results.read_table(campaign, "energy", "evaluation_id", "module", numbers=("pJ_nonzero",))
        return cls(campaign, readings, layers)

    def rows(
        self, dataset: str, method: str, *, gamma: str | float = "", exit: bool = False, timesteps: int | str = TRAINED
    ) -> pd.DataFrame:
        """Select the rows of a method, indexed by the pretrained network.

        gamma: a number, or "low" or "high" for the least or the greatest that was trained.
        timesteps: a number, TRAINED for those of its training, or ALL that it runs; for an exit, the limit that it stops within.
        Raises Unmeasured where there are no rows, or of more than one evaluation that the sentence could mean.
        """
        rows = self.readings[(self.readings.dataset == dataset) & (self.readings.method == method)]
        rows = rows[rows.as_in_paper.astype(bool) & ((rows.exit != "") == exit)]
        if gamma != "" and len(rows):
            trained = rows.gamma.astype(float)
            if gamma == "high" and trained.nunique() == 1:
                raise Unmeasured(f"{method} was trained with one γ on {dataset}, it takes two")
            rows = rows[trained == {"low": trained.min(), "high": trained.max()}.get(gamma, gamma)]
        last = rows.evaluation_id.map(self.executed_timesteps())
        wanted = {TRAINED: rows.trained_timesteps, ALL: last}.get(timesteps, timesteps)
        rows = rows[(last if exit else rows.timesteps) == wanted]
        if rows.empty:
            at = f" at γ = {gamma:g}" if isinstance(gamma, float) else ""
            at += "" if timesteps in (TRAINED, ALL) else f" at T = {timesteps}"
            raise Unmeasured(f"no {method}{at} on {dataset} with the paper's network and options")
        if rows.evaluation.nunique() > 1:  # then Table 1 says which one is meant
            in_table1 = rows[rows.evaluation.isin([row.evaluation for row in self.campaign.experiment.table1])]
            rows = rows if in_table1.empty else in_table1
        if len(names := dict.fromkeys(rows.evaluation)) > 1:
            raise Unmeasured(f"{', '.join(names)} are all {method} on {dataset}: the sentence does not say which one is meant")
        self.used.extend(rows.evaluation_id)
        return rows.assign(network=pretrained(rows)).set_index("network")

    def column(self, dataset: str, method: str, *, key: str = "accuracy", **which) -> pd.Series:
        """Select one column of a method's rows, indexed by the pretrained network; `which` as in `rows`."""
        return self.rows(dataset, method, **which)[key].astype(float)

    def difference(
        self, dataset: str, minuend: tuple[str, dict], subtrahend: tuple[str, dict], key: str = "accuracy"
    ) -> pd.Series:
        """Subtract one method's column from another's, by the pretrained network; a method is its name and `which` of its rows.

        Raises Unmeasured where no pretrained network has both.
        """
        differences = self.column(dataset, minuend[0], key=key, **minuend[1]) - self.column(
            dataset, subtrahend[0], key=key, **subtrahend[1]
        )
        if differences.dropna().empty:
            raise Unmeasured(f"{minuend[0]} and {subtrahend[0]} on {dataset} share no pretrained network")
        return differences.dropna()

    def energy(self, dataset: str, method: str, *modules: str, **which) -> pd.Series:
        """Sum pJ of some modules of a method's networks over all timesteps, by the pretrained network.

        Raises Unmeasured where it runs at other timesteps than it was trained with.
        """
        rows = self.rows(dataset, method, **which)
        if (rows.evaluation_id.map(self.executed_timesteps()) != rows.timesteps).any():
            raise Unmeasured(f"{method} on {dataset} runs at other timesteps than it was trained with")
        return rows.evaluation_id.map(self.modules(*modules))

    def executed_timesteps(self) -> pd.Series:
        """Count the timesteps that each evaluation runs, by its id."""
        return self.readings[self.readings.exit == ""].groupby("evaluation_id").timesteps.max()

    def modules(self, *names: str) -> pd.Series:
        """Sum pJ of some modules over all timesteps, by the evaluation's id."""
        return self.layers[self.layers.module.isin(names)].groupby("evaluation_id").pJ_nonzero.sum()

    def vits(self, dataset: str) -> dict[str, int]:
        """Map the id of each evaluation of STATIC on a ViT to its seed."""
        return {e.id: e.run.seed for e in self.campaign.evaluations if not e.probe and is_of_network(e, dataset, "vit", "static")}

    def seeds(self, figure: str, dataset: str, backbone: str = PAPERS_BACKBONE) -> tuple[dict[int, dict], str]:
        """Read a figure's numbers of a network on a data set, by the seed, and how the network differs from the paper's.

        The difference is in words, empty where there is none. Raises Unmeasured where the figure lacks the numbers.
        """
        path = self.campaign.folder / "figures" / f"{figure}.json"
        if figure not in self.campaign.experiment.figures or not path.exists():
            raise Unmeasured(f"figure {figure} is not drawn")
        try:
            numbers = atomic_files.read_json(path)
        except UserError as error:
            raise Unmeasured(f"the numbers of figure {figure} are damaged: delete {path}, and it is drawn again") from error
        if numbers.get("missing"):
            raise Unmeasured(f"figure {figure} lacks its data")
        known = {e.id: e for e in self.campaign.evaluations if is_of_network(e, dataset, backbone)}
        try:
            entries = [(known[seed["evaluation"]], seed) for seed in numbers.get("seeds", []) if seed["evaluation"] in known]
        except (KeyError, TypeError) as error:
            raise Unmeasured(f"figure {figure} lacks what this is measured by: {error!r}") from error
        if not entries:
            raise Unmeasured(f"figure {figure} does not show {dataset}")
        chosen = [(e, seed) for e, seed in entries if not deviation_of(self.campaign, e)] or entries
        if len(names := dict.fromkeys(e.name for e, _ in chosen)) > 1:
            raise Unmeasured(f"figure {figure} shows {', '.join(names)} on {dataset}: it does not say which one is meant")
        self.used.extend(e.id for e, _ in chosen)
        return {e.run.seed: seed for e, seed in chosen}, deviation_of(self.campaign, chosen[0][0])

    def per_seed(
        self, figure: str, dataset: str, value: Callable[[dict], float | None], backbone: str = PAPERS_BACKBONE
    ) -> pd.Series:
        """Compute a number from a figure's numbers of each seed, by the seed; seeds that are undefined there are left out.

        Raises Undecided where the figure shows a network that was not trained as the paper's, Unmeasured where no seed has one.
        """
        seeds, deviation = self.seeds(figure, dataset, backbone)
        try:
            value_of_seed = {number: value(seed) for number, seed in seeds.items() if "undefined" not in seed}
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Unmeasured(f"figure {figure} lacks what this is measured by: {error!r}") from error
        values = pd.Series({number: x for number, x in value_of_seed.items() if x is not None}, dtype=float)
        if values.empty:
            raise Unmeasured(f"figure {figure} says it is undefined: nothing halts, too few blocks, or the images have no masks")
        if deviation:
            raise Undecided(values, f"measured on {deviation}, which the sentence is not about")
        return values


def is_of_network(evaluation: Evaluation, dataset: str, backbone: str, method: str = "") -> bool:
    """Check that an evaluation is of a backbone on a data set, and of a method where one is given."""
    run = evaluation.run
    return (run.data.name, run.network["backbone"]) == (dataset, backbone) and method in ("", run.method)


def deviation_of(campaign: Campaign, evaluation: Evaluation) -> str:
    """Say how an evaluation is not trained, or not evaluated, as in the paper; nothing where it is."""
    run = evaluation.run
    if not as_in_paper(campaign, evaluation):
        return method_title(campaign.catalogue, run.method, evaluation.options)
    if evaluation.timesteps != run.network["timesteps"]:
        return f"{method_title(campaign.catalogue, run.method, run.options)} at T = {evaluation.timesteps}"
    images = evaluation.settings.get("images")
    return f"the first {images} test images" if images else ""
