"""SEENN-I: each image stops once the softmax of its prediction is high (Li et al. 2023, https://arxiv.org/abs/2304.01230).

Reading: it reads the networks that DT-SNN trains, whose loss asks for a prediction after every timestep; so the two
differ in their exit only.
"""
# Tested in tests/baselines/test_losses.py

import numpy as np

from baselines import MethodOptions

TITLE = "SEENN-I"
PARENTS = ("dt_snn",)

Options = MethodOptions


def confidence(logits: np.ndarray) -> np.ndarray:
    """Compute the largest softmax, in [1/C, 1]: [..., C] -> [...]."""
    import torch

    return torch.from_numpy(logits).softmax(-1).amax(-1).numpy()
