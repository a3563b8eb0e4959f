"""Measure and draw the figures of the report, one file each, found by its file name.

Every figure has
- TITLE;
- DEFINITION: what is shown and how it is computed, with a `Reading:` where the paper leaves it open;
- MOST_EVALUATIONS: how many evaluations it can show (None: any number, 0: it needs none);
- draw(campaign, evaluations) -> (picture, numbers): a matplotlib figure made on `pipeline.reporting.drawing.canvas`, and a
  dictionary of everything that is drawn, with its `caption`. By an evaluation's name it may have `timesteps`, those shown, where
  it is not shown at all of its timesteps alone, and `exits`, the names of the exits shown, where there are some.
  draw raises `pipeline.reporting.drawing.missing_data.MissingData` where data is missing; the page then says so.

A figure that reads files other than those of its evaluations also has reads(folder): the paths of those that are there, in the
campaign's folder. It is drawn again when they change.

A figure that measures networks by itself also has
- Settings (a ProbeSettings) and measure(subject, settings) -> metrics: numbers by name, in lists and mappings. It is called
  without gradient with a `pipeline.evaluation.subject.Subject`; evaluations whose `probe` names the figure run it, and
  `pipeline.reporting.drawing.campaign_results.metrics_of` reads the metrics;
- NEEDS_TOKENS, where it measures tokens or blocks: a network without tokens (`models`) is refused;
- changes(settings), if it runs networks with other options: all of these, which are checked before anything is trained;
- passes(settings), if it passes over the images more than once: how many times, for pipeline.plan.

Importing a figure imports neither torch nor pandas nor matplotlib.
"""

from pydantic import BaseModel, ConfigDict, Field


class ProbeSettings(BaseModel):
    """Settings of a figure's measurement; images: number of test images, None: all. Subclasses add their own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    images: int | None = Field(default=None, ge=1, examples=[500])
