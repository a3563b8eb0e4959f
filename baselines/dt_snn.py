"""DT-SNN: each image stops once the entropy of its prediction is low (Li et al. 2023, https://arxiv.org/abs/2305.17346)."""

import numpy as np

from baselines import MethodOptions

TITLE = "DT-SNN"
PARENTS = ("static",)


class Options(MethodOptions):
    pass


def build(backbone, options: Options):
    return backbone


def loss(output, target, options: Options):
    """Mean over t of CE(mean of z_1..z_t, y). output.logits [T, B, C], target probabilities [B, C]."""
    import torch
    from torch.nn.functional import cross_entropy

    steps = torch.arange(1, len(output.logits) + 1, device=target.device)[:, None, None]
    means = output.logits.cumsum(0) / steps
    return torch.stack([cross_entropy(logits, target) for logits in means]).mean()


def confidence(logits: np.ndarray) -> np.ndarray:
    """1 - entropy(softmax) / log C, in [0, 1]: [..., C] -> [...]."""
    log_share = log_softmax(logits)
    return np.clip(1 + (np.exp(log_share) * log_share).sum(-1) / np.log(logits.shape[-1]), 0, 1)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
