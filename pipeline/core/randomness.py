"""Draw random numbers without state: every draw is a function of its seed, purpose and position.

So a resumed run, a run with another number of workers and an uninterrupted one see the same data.
"""

import hashlib
import random

import numpy as np

from pipeline.core.errors import UserError


def key_of(*parts: int | str) -> int:
    """Compute a 64-bit key that depends on every part and on their order."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def generator(*parts: int | str) -> np.random.Generator:
    """Create a PCG64 generator seeded with the key of the parts."""
    return np.random.Generator(np.random.PCG64(key_of(*parts)))


def seed_everything(*parts: int | str) -> None:
    """Seed the global generators of Python, numpy and torch's CPU, from which timm and torchvision draw.

    torch.manual_seed would seed a GPU's too, from which nothing is drawn here; without a GPU, each call keeps a stack trace.
    """
    import torch

    key = key_of(*parts)
    random.seed(key)
    np.random.seed(key % 2**32)
    torch.default_generator.manual_seed(key)


def share_of_batch(batch: int, number: int, processes: int) -> np.ndarray:
    """Choose the indices in a batch that process `number` of `processes` gets: int64 [batch / processes].

    Mixup pairs image i with image batch - 1 - i, so a share is consecutive images with their partners. Raises UserError where
    the batch can't be divided so.
    """
    pairs, rest = divmod(batch, 2 * processes)
    if rest:
        raise UserError(
            f"a batch of {batch} can't be shared by {processes} processes, in pairs as mixup takes them: "
            f"ask for a number of processes that divides {batch // 2}"
        )
    first = np.arange(number * pairs, (number + 1) * pairs)
    return np.concatenate([first, batch - 1 - first[::-1]])


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Draw the order in which an epoch goes through the images: int64 [count]."""
    return generator(seed, "order", epoch).permutation(count)
