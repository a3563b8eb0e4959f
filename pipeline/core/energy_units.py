"""Name the conventions and units in which energy is told."""

CONVENTIONS = ("nonzero", "count", "mac")  # of energy: pipeline.evaluation.energy says what each means
PJ_PER_UJ = 1e6
