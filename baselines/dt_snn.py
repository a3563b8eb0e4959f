"""DT-SNN: each image stops once the entropy of its prediction is low (Li et al. 2023, https://arxiv.org/abs/2305.17346)."""
# Tested in tests/baselines/test_losses.py

import numpy as np

from baselines import MethodOptions, static

TITLE = "DT-SNN"
PARENTS = ("static",)

Options = MethodOptions
build = static.build


def loss(output, target, options: Options):
    """Compute the mean over t of CE(mean of z_1..z_t, y). output.logits [T, B, C], target probabilities [B, C]."""
    import torch
    from torch.nn.functional import cross_entropy

    steps = torch.arange(1, len(output.logits) + 1, device=target.device)[:, None, None]
    means = output.logits.cumsum(0) / steps
    return torch.stack([cross_entropy(logits, target) for logits in means]).mean()


def confidence(logits: np.ndarray) -> np.ndarray:
    """Compute 1 - entropy(softmax) / log C, in [0, 1]: [..., C] -> [...]."""
    import torch

    entropy = torch.special.entr(torch.from_numpy(logits).softmax(-1)).sum(-1)
    return (1 - entropy / np.log(logits.shape[-1])).clamp(0, 1).numpy()
