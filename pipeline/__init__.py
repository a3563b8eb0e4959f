"""From a declaration to results: the commands, and below them the rooms, each of which imports from those before it only.

core, data, campaign, mirror, evaluation, training, reporting, planning: what belongs in each is the first line of its `__init__.py`.
On this level are commands alone (`python -m pipeline.<command> --help`), and what they share, `pipeline.command_line`.
"""
