"""Halt only: AT-SNN without merging."""
# Tested in tests/baselines/test_losses.py

from typing import Literal

from baselines import at_snn

TITLE = "Halt only"
PARENTS = ("static",)
ADAPTS_TOKENS = True


class Options(at_snn.Options):
    """Options of AT-SNN, without merging."""

    gamma: Literal[0] = 0


build = at_snn.build
loss = at_snn.loss
