"""What the paper's claims are measured on: a campaign's readings, and the numbers of its figures."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from pipeline import record as records
from pipeline import shown
from pipeline.campaign import Campaign
from pipeline.errors import UserError
from pipeline.savings import pretrained


class Unmeasured(Exception):
    """A campaign has not what a claim needs; says what."""


@dataclass(frozen=True)
class Evidence:
    """A campaign and its readings.

    `of` and `difference` take those of the paper's backbone, trained with the paper's options; `seeds` and `per_seed` whatever
    networks the figure was declared to show.
    """

    campaign: Campaign
    readings: pd.DataFrame

    @classmethod
    def read(cls, campaign: Campaign) -> "Evidence":
        return cls(campaign, pd.read_csv(shown.table_file(campaign, "readings"), keep_default_na=False))

    def of(self, dataset: str, method: str, *, gamma: str = "", timesteps: int | None = None, key: str = "accuracy") -> pd.Series:
        """A column of the readings of a method, by the pretrained network; gamma "low" or "high": of those that were trained.

        Without `timesteps` those that it was trained with; an exit has its own.
        """
        own = self.readings[(self.readings.dataset == dataset) & (self.readings.method == method)]
        own = own[own.as_in_paper.astype(bool)]
        if gamma and len(own):
            wanted = own.gamma.astype(float)
            own = own[wanted == (wanted.min() if gamma == "low" else wanted.max())]
        if len(own) and not own.exit.iloc[0]:
            own = own[own.timesteps == (own.trained_timesteps if timesteps is None else timesteps)]
        if own.empty:
            at = f" at T = {timesteps}" if timesteps else ""
            raise Unmeasured(f"no {method}{at} on {dataset}")
        return own.assign(network=pretrained(own)).drop_duplicates("network").set_index("network")[key].astype(float)

    def difference(self, dataset: str, ours: tuple[str, dict], theirs: tuple[str, dict], key: str = "accuracy") -> pd.Series:
        """Ours minus theirs, seed by seed."""
        found = self.of(dataset, ours[0], key=key, **ours[1]) - self.of(dataset, theirs[0], key=key, **theirs[1])
        if found.dropna().empty:
            raise Unmeasured(f"{ours[0]} and {theirs[0]} on {dataset} share no pretrained network")
        return found.dropna()

    def seeds(self, figure: str, dataset: str) -> list[dict]:
        """What a figure says of each seed of a data set."""
        path = self.campaign.folder / "figures" / f"{figure}.json"
        if figure not in self.campaign.experiment.figures or not path.exists():
            raise Unmeasured(f"figure {figure} is not drawn")
        try:
            numbers = records.read_json(path)
        except UserError as error:
            raise Unmeasured(f"the numbers of figure {figure} are damaged: delete {path}, and it is drawn again") from error
        if numbers.get("missing"):
            raise Unmeasured(f"figure {figure} lacks its data")
        of_data = {e.id for e in self.campaign.evaluations if e.run.data.name == dataset}
        found = [seed for seed in numbers.get("seeds", []) if seed["evaluation"] in of_data]
        if not found:
            raise Unmeasured(f"figure {figure} does not show {dataset}")
        return found

    def per_seed(self, figure: str, dataset: str, value: Callable[[dict], float | None]) -> pd.Series:
        """A number of each seed of a figure; those that are undefined there are left out."""
        try:
            found = [value(seed) for seed in self.seeds(figure, dataset) if "undefined" not in seed]
        except (KeyError, IndexError, TypeError) as error:
            raise Unmeasured(f"figure {figure} lacks what this is measured by: {error!r}") from error
        known = [x for x in found if x is not None]
        if not known:
            raise Unmeasured(f"figure {figure} says it is undefined: nothing halts, or the images have no masks")
        return pd.Series(known, dtype=float)
