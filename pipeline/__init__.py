"""Run the stages from a declaration to results: commands on this level, and below them packages that they call.

The packages are core, data, campaign, mirror, evaluation, training, reporting, planning: each imports only from those before
it, and the first line of its `__init__.py` says what it holds. This level holds the commands, with
`python -m pipeline.<command> --help`, and `pipeline.command_line`, which they share.
"""

from pipeline.core import surroundings  # noqa: F401  before anything else is imported
