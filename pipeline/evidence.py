"""What the paper's claims are measured on: a campaign's tables, and the numbers of its figures."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline import record as records
from pipeline import shown
from pipeline.campaign import Campaign
from pipeline.errors import UserError
from pipeline.identity import Evaluation
from pipeline.readings import as_in_paper
from pipeline.savings import pretrained


class Unmeasured(Exception):
    """A campaign has not what a claim needs; says what."""


@dataclass(frozen=True)
class Evidence:
    """A campaign and its tables, as far as they are of networks that were trained with the paper's options."""

    campaign: Campaign
    readings: pd.DataFrame
    layers: pd.DataFrame

    @classmethod
    def read(cls, campaign: Campaign) -> "Evidence":
        readings = shown.read_table(campaign, "readings", "as_in_paper", "dataset", keep_default_na=False)
        return cls(campaign, readings, shown.read_table(campaign, "energy", "evaluation_id", "module", "pJ_nonzero"))

    def rows(self, dataset: str, method: str, *, gamma: str | float = "", exit: bool = False, timesteps: int | None = None):
        """The readings of a method, by the pretrained network; gamma a number, or "low" or "high": of those that were trained.

        Without `timesteps` those that it was trained with; those of an exit, where it is asked for.
        """
        own = self.readings[(self.readings.dataset == dataset) & (self.readings.method == method)]
        own = own[own.as_in_paper.astype(bool) & ((own.exit != "") == exit)]
        if gamma != "" and len(own):
            trained = own.gamma.astype(float)
            if gamma == "high" and trained.nunique() == 1:
                raise Unmeasured(f"{method} was trained with one γ on {dataset}, it takes two")
            own = own[trained == {"low": trained.min(), "high": trained.max()}.get(gamma, gamma)]
        if not exit:
            own = own[own.timesteps == (own.trained_timesteps if timesteps is None else timesteps)]
        if own.empty:
            at = (f" at γ = {gamma:g}" if isinstance(gamma, float) else "") + (f" at T = {timesteps}" if timesteps else "")
            raise Unmeasured(f"no {method}{at} on {dataset}")
        return own.assign(network=pretrained(own)).drop_duplicates("network").set_index("network")

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
        """pJ of some of a network's modules, of all where none is named, at all timesteps, by the pretrained network."""
        own = self.layers[self.layers.module.isin(modules)] if modules else self.layers
        by_evaluation = own.groupby("evaluation_id").pJ_nonzero.sum()
        return self.rows(dataset, method, **which).evaluation_id.map(by_evaluation)

    def seeds(self, figure: str, dataset: str, backbone: str = "spikformer") -> dict[int, dict]:
        """What a figure says of each seed of the paper's network on a data set, by the seed."""
        path = self.campaign.folder / "figures" / f"{figure}.json"
        if figure not in self.campaign.experiment.figures or not path.exists():
            raise Unmeasured(f"figure {figure} is not drawn")
        try:
            numbers = records.read_json(path)
        except UserError as error:
            raise Unmeasured(f"the numbers of figure {figure} are damaged: delete {path}, and it is drawn again") from error
        if numbers.get("missing"):
            raise Unmeasured(f"figure {figure} lacks its data")
        evaluations = {e.id: e for e in self.campaign.evaluations if (e.run.data.name, backbone_of(e)) == (dataset, backbone)}
        try:
            told = [
                (evaluations[seed["evaluation"]], seed) for seed in numbers.get("seeds", []) if seed["evaluation"] in evaluations
            ]
        except (KeyError, TypeError) as error:
            raise Unmeasured(f"figure {figure} lacks what this is measured by: {error!r}") from error
        if not told:
            raise Unmeasured(f"figure {figure} does not show {dataset}")
        found = [(e, seed) for e, seed in told if as_in_paper(e)]
        if not found:
            titles = dict.fromkeys(shown.title(e.run.method, e.options) for e, _ in told)
            raise Unmeasured(f"figure {figure} shows {', '.join(titles)}: nothing with the paper's options")
        if len(names := dict.fromkeys(e.name for e, _ in found)) > 1:
            raise Unmeasured(f"figure {figure} shows {', '.join(names)} on {dataset}: it does not say which one is meant")
        return {e.run.seed: seed for e, seed in found}

    def per_seed(
        self, figure: str, dataset: str, value: Callable[[dict], float | None], backbone: str = "spikformer"
    ) -> pd.Series:
        """A number of each seed of a figure, by the seed; those that are undefined there are left out."""
        seeds = self.seeds(figure, dataset, backbone)
        try:
            found = {number: value(seed) for number, seed in seeds.items() if "undefined" not in seed}
        except (KeyError, IndexError, TypeError) as error:
            raise Unmeasured(f"figure {figure} lacks what this is measured by: {error!r}") from error
        known = {number: x for number, x in found.items() if x is not None}
        if not known:
            raise Unmeasured(f"figure {figure} says it is undefined: nothing halts, too few blocks, or the images have no masks")
        return pd.Series(known, dtype=float)


def backbone_of(evaluation: Evaluation) -> str:
    return evaluation.run.network["backbone"]
