"""Images as a network takes them. Imports neither torchvision nor timm, which take seconds to import.

Dimensions: N images of a split, B batch, S image size.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.data.prepared import Prepared

BATCH = 100  # images in evaluation


def normalise(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """uint8 [B, 3, S, S] to normalised float32 of the same shape, with the bits of torchvision.transforms.v2."""
    channel = [torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (mean, std)]
    return images.to(torch.float32).mul_(1 / 255).sub_(channel[0]).div_(channel[1])


def evaluation_batches(
    data: Prepared, split: str, size: int = BATCH, number: int = 0, processes: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a split in order: normalised float32 [B, 3, S, S], labels int64 [B]; process `number`'s, dealt out in turn."""
    part = data.split(split)
    for start in range(number * size, len(part), processes * size):
        images = torch.tensor(part.images[start : start + size]).permute(0, 3, 1, 2)
        yield normalise(images, data.meta["mean"], data.meta["std"]), torch.tensor(part.labels[start : start + size])
