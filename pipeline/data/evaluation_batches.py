"""Normalise images, and batch them for evaluation. Imports neither torchvision nor timm, which take seconds to import.

Dimensions: N images of a split, B batch, S image size.
"""
# Tested in tests/pipeline/data/test_augmentation.py

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.data.prepared import Prepared

BATCH = 100  # images in evaluation


def normalise(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """Convert uint8 [B, 3, S, S] to (x / 255 - mean) / std, float32, bit for bit as torchvision.transforms.v2 does."""
    mean_and_std = [torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (mean, std)]
    return images.to(torch.float32).mul_(1 / 255).sub_(mean_and_std[0]).div_(mean_and_std[1])


def evaluation_batches(
    data: Prepared, split: str, size: int = BATCH, number: int = 0, processes: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a split's batches in order: normalised images float32 [B, 3, S, S], labels int64 [B].

    The batches are dealt out in turn to `processes` processes; these are those of process `number`.
    """
    arrays = data.split(split)
    for start in range(number * size, len(arrays), processes * size):
        images = torch.tensor(arrays.images[start : start + size]).permute(0, 3, 1, 2)
        yield normalise(images, data.meta["mean"], data.meta["std"]), torch.tensor(arrays.labels[start : start + size])
