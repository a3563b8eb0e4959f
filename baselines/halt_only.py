"""Halt only: AT-SNN without merging."""
# Tested in tests/baselines/test_losses.py

from baselines import at_snn

TITLE = "Halt only"
PARENTS = ("static",)
ADAPTS_TOKENS = True


class Options(at_snn.Options):
    """Options of AT-SNN, without merging."""

    gamma: at_snn.NoGamma = 0


build = at_snn.build
loss = at_snn.loss
