"""The figures, one file each, found by its name.

A figure has TITLE, DEFINITION (what is shown and how it is computed, with a `Reading:` where the paper leaves it open),
MOST_EVALUATIONS (None: any number, 0: it needs none) and draw(campaign, evaluations) -> (picture, numbers): a matplotlib
figure made on `pipeline.reporting.drawing.canvas`, and a dictionary, its `caption` among them, of everything that is drawn; `timesteps`, where an
evaluation is not shown at all of its timesteps alone: those it is shown at, by its name; `exits`, where some are shown:
their names, by the evaluation's. What can't be drawn for want of data raises `pipeline.reporting.drawing.missing_data.MissingData`; the page then says so.
One that measures networks by itself has Settings (a ProbeSettings) and measure(subject, settings) -> metrics too,
called without gradient with a `pipeline.evaluation.subject.Subject`: numbers by name, in lists and mappings. Evaluations whose
`probe` names the figure run it, and `pipeline.reporting.drawing.campaign_results.metrics_of` reads it. One that runs
networks with other options has changes(settings): all of them, which are checked before anything is trained. One that passes
over the images more than once says how often in passes(settings), for pipeline.plan.
Importing a figure imports neither torch nor matplotlib.
"""

from pydantic import BaseModel, ConfigDict, Field


class ProbeSettings(BaseModel):
    """What can be chosen of a figure's measurement; images: how many of the test images, None: all. Subclasses add the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int | None = Field(default=None, ge=1)
