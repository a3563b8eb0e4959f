"""A-ViT: tokens that halt over the blocks of a network without spikes (Yin et al. 2022, https://arxiv.org/abs/2112.07658).

It is Halt only on `models.vit.ViT`: with one timestep, Eqs. 3-7 are A-ViT's sums over blocks, so spiking is the only difference
between the two rows.

Reading: A-ViT classifies what its class token alone accumulates; there is no class token here, and Eq. 8 takes the mean over
all tokens, as in AT-SNN.
Reading: A-ViT's third loss, the divergence of mean halting scores over the blocks from a prior distribution, is left out: the
loss is Eq. 11, and the options and their defaults are AT-SNN's.
"""
# Tested in tests/test_contracts.py

from baselines import at_snn

TITLE = "A-ViT"
PARENTS = ("static",)
ADAPTS_TOKENS = True
BACKBONES = ("vit",)


class Options(at_snn.Options):
    """Options of AT-SNN, without merging."""

    gamma: at_snn.NoGamma = 0


build = at_snn.build
loss = at_snn.loss
