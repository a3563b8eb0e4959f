"""TET: temporal efficient training, a loss at every timestep (Deng et al. 2022, https://arxiv.org/abs/2202.11946)."""
# Tested in tests/baselines/test_losses.py

from pydantic import Field

from baselines import MethodOptions, static

TITLE = "TET"
PARENTS = ("static",)
LEVEL = 1.0  # the regularisation's target for the logits: the firing threshold


class Options(MethodOptions):
    """Options of TET. weight: lambda of the regularisation; the default is the published value."""

    weight: float = Field(default=1e-3, ge=0, le=1)


build = static.build


def loss(output, target, options: Options):
    """Compute (1 - lambda) mean_t CE(z_t, y) + lambda MSE(z_t, 1). output.logits [T, B, C], target probabilities [B, C]."""
    import torch
    from torch.nn.functional import cross_entropy, mse_loss

    task = torch.stack([cross_entropy(logits, target) for logits in output.logits]).mean()
    return (1 - options.weight) * task + options.weight * mse_loss(output.logits, torch.full_like(output.logits, LEVEL))
