"""What the paper's claims are measured on: a campaign's tables, and the numbers of its figures."""

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
WORDS = ("as_in_paper", "dataset", "method", "exit", "gamma", "parent", "run", "seed", "evaluation", "evaluation_id", "warnings")
NUMBERS = ("timesteps", "trained_timesteps", "accuracy", "avg_tokens", "energy_nonzero")  # columns of the readings


class Unmeasured(Exception):
    """A campaign has not what a claim needs; says what."""


class Undecided(Exception):
    """Measured, but on networks that the paper's sentence is not about; says on which."""

    def __init__(self, values: pd.Series, note: str):
        super().__init__(note)
        self.values = values


@dataclass(frozen=True)
class Evidence:
    """A campaign and its tables, as far as they are of networks that were trained with the paper's options."""

    campaign: Campaign
    readings: pd.DataFrame
    layers: pd.DataFrame
    used: list[str] = field(default_factory=list)  # evaluations that a claim has been measured on so far

    @classmethod
    def read(cls, campaign: Campaign) -> "Evidence":
        readings = campaign_results.read_table(campaign, "readings", *WORDS, numbers=NUMBERS, keep_default_na=False)
        layers = campaign_results.read_table(campaign, "energy", "evaluation_id", "module", numbers=("pJ_nonzero",))
        return cls(campaign, readings, layers)

    def rows(
        self, dataset: str, method: str, *, gamma: str | float = "", exit: bool = False, timesteps: int | str = TRAINED
    ) -> pd.DataFrame:
        """The readings of a method, by the pretrained network; gamma a number, or "low" or "high": of those that were trained.

        timesteps: a number, those that it was trained with, or all that it runs; of an exit that stops within those.
        """
        own = self.readings[(self.readings.dataset == dataset) & (self.readings.method == method)]
        own = own[own.as_in_paper.astype(bool) & ((own.exit != "") == exit)]
        if gamma != "" and len(own):
            trained = own.gamma.astype(float)
            if gamma == "high" and trained.nunique() == 1:
                raise Unmeasured(f"{method} was trained with one γ on {dataset}, it takes two")
            own = own[trained == {"low": trained.min(), "high": trained.max()}.get(gamma, gamma)]
        last = own.evaluation_id.map(self.lengths())
        wanted = {TRAINED: own.trained_timesteps, ALL: last}.get(timesteps, timesteps)
        own = own[(last if exit else own.timesteps) == wanted]
        if own.empty:
            at = f" at γ = {gamma:g}" if isinstance(gamma, float) else ""
            at += "" if timesteps in (TRAINED, ALL) else f" at T = {timesteps}"
            raise Unmeasured(f"no {method}{at} on {dataset} with the paper's network and options")
        if own.evaluation.nunique() > 1:  # then Table 1 says which one is meant
            rows = own[own.evaluation.isin([row.evaluation for row in self.campaign.experiment.table1])]
            own = own if rows.empty else rows
        if len(names := dict.fromkeys(own.evaluation)) > 1:
            raise Unmeasured(f"{', '.join(names)} are all {method} on {dataset}: the sentence does not say which one is meant")
        self.used.extend(own.evaluation_id)
        return own.assign(network=pretrained(own)).set_index("network")

    def of(self, dataset: str, method: str, *, key: str = "accuracy", **which) -> pd.Series:
        """A column of the readings of a method, by the pretrained network."""
        return self.rows(dataset, method, **which)[key].astype(float)

    def difference(self, dataset: str, ours: tuple[str, dict], theirs: tuple[str, dict], key: str = "accuracy") -> pd.Series:
        """Ours minus theirs, seed by seed."""
        found = self.of(dataset, ours[0], key=key, **ours[1]) - self.of(dataset, theirs[0], key=key, **theirs[1])
        if found.dropna().empty:
            raise Unmeasured(f"{ours[0]} and {theirs[0]} on {dataset} share no pretrained network")
        return found.dropna()

    def energy(self, dataset: str, method: str, *modules: str, **which) -> pd.Series:
        """pJ of some of a network's modules, at all timesteps, which are those it was trained with, by the pretrained network."""
        rows = self.rows(dataset, method, **which)
        if (rows.evaluation_id.map(self.lengths()) != rows.timesteps).any():
            raise Unmeasured(f"{method} on {dataset} runs at other timesteps than it was trained with")
        return rows.evaluation_id.map(self.modules(*modules))

    def lengths(self) -> pd.Series:
        """The timesteps that each evaluation runs."""
        return self.readings[self.readings.exit == ""].groupby("evaluation_id").timesteps.max()

    def modules(self, *names: str) -> pd.Series:
        """pJ of some modules at all timesteps, by evaluation."""
        return self.layers[self.layers.module.isin(names)].groupby("evaluation_id").pJ_nonzero.sum()

    def vits(self, dataset: str) -> dict[str, int]:
        """Evaluations of STATIC on a ViT, with their seeds."""
        return {e.id: e.run.seed for e in self.campaign.evaluations if not e.probe and of_network(e, dataset, "vit", "static")}

    def seeds(self, figure: str, dataset: str, backbone: str = PAPERS_BACKBONE) -> tuple[dict[int, dict], str]:
        """What a figure says of each seed of a network on a data set, by the seed, and how it is not the paper's, if it isn't."""
        path = self.campaign.folder / "figures" / f"{figure}.json"
        if figure not in self.campaign.experiment.figures or not path.exists():
            raise Unmeasured(f"figure {figure} is not drawn")
        try:
            numbers = atomic_files.read_json(path)
        except UserError as error:
            raise Unmeasured(f"the numbers of figure {figure} are damaged: delete {path}, and it is drawn again") from error
        if numbers.get("missing"):
            raise Unmeasured(f"figure {figure} lacks its data")
        known = {e.id: e for e in self.campaign.evaluations if of_network(e, dataset, backbone)}
        try:
            told = [(known[seed["evaluation"]], seed) for seed in numbers.get("seeds", []) if seed["evaluation"] in known]
        except (KeyError, TypeError) as error:
            raise Unmeasured(f"figure {figure} lacks what this is measured by: {error!r}") from error
        if not told:
            raise Unmeasured(f"figure {figure} does not show {dataset}")
        found = [(e, seed) for e, seed in told if not difference_of(self.campaign, e)] or told
        if len(names := dict.fromkeys(e.name for e, _ in found)) > 1:
            raise Unmeasured(f"figure {figure} shows {', '.join(names)} on {dataset}: it does not say which one is meant")
        self.used.extend(e.id for e, _ in found)
        return {e.run.seed: seed for e, seed in found}, difference_of(self.campaign, found[0][0])

    def per_seed(
        self, figure: str, dataset: str, value: Callable[[dict], float | None], backbone: str = PAPERS_BACKBONE
    ) -> pd.Series:
        """A number of each seed of a figure, by the seed; those that are undefined there are left out.

        Raises Undecided where the figure shows a network that was not trained as the paper's.
        """
        seeds, difference = self.seeds(figure, dataset, backbone)
        try:
            found = {number: value(seed) for number, seed in seeds.items() if "undefined" not in seed}
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Unmeasured(f"figure {figure} lacks what this is measured by: {error!r}") from error
        values = pd.Series({number: x for number, x in found.items() if x is not None}, dtype=float)
        if values.empty:
            raise Unmeasured(f"figure {figure} says it is undefined: nothing halts, too few blocks, or the images have no masks")
        if difference:
            raise Undecided(values, f"measured on {difference}, which the sentence is not about")
        return values


def of_network(evaluation: Evaluation, dataset: str, backbone: str, method: str = "") -> bool:
    run = evaluation.run
    return (run.data.name, run.network["backbone"]) == (dataset, backbone) and method in ("", run.method)


def difference_of(campaign: Campaign, evaluation: Evaluation) -> str:
    """What a figure shows of an evaluation that is not trained, or not evaluated, as in the paper; nothing where it is."""
    run = evaluation.run
    if not as_in_paper(campaign, evaluation):
        return method_title(campaign.catalogue, run.method, evaluation.options)
    if evaluation.timesteps != run.network["timesteps"]:
        return f"{method_title(campaign.catalogue, run.method, run.options)} at T = {evaluation.timesteps}"
    images = evaluation.settings.get("images")
    return f"the first {images} test images" if images else ""
