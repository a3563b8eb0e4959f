"""Augment training images by METHOD's recipe: flip, RandAugment, mixup, normalisation, random erasing, in the published order.

Source of every value: github.com/ZK-Zhou/spikformer, cifar10/cifar10.yml, transforms_factory.py and aa_snn.py. A batch is a
function of (seed, epoch, step) alone. Dimensions: B batch, S image size, C classes.
"""

import signal

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from timm.data.mixup import FastCollateMixup
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from pipeline.core.randomness import epoch_order, key_of, seed_everything, share_of_batch
from pipeline.data.evaluation_batches import normalise
from pipeline.data.prepared import Prepared

# Those of timm's increasing RandAugment operations that the published aa_snn.py keeps
OPERATIONS = ("Equalize", "Rotate", "ShearX", "TranslateXRel", "TranslateYRel")
ERASING_MODE = "const"


def rand_augment(policy: str, mean: list[float]):
    """Build timm's RandAugment with the published operations, bicubic, filled with the mean colour."""
    fill = tuple(min(255, round(255 * x)) for x in mean)
    settings = {"img_mean": fill, "interpolation": Image.Resampling.BICUBIC}
    return rand_augment_transform(policy, settings, transforms=list(OPERATIONS))


class TrainingBatches(Dataset):
    """Training batches by `(epoch, step)`: images float32 [B, 3, S, S] and soft targets float32 [B, C].

    Process `number` of `processes` gets its share of each batch, the same images and targets as in the whole batch.
    """

    def __init__(self, data: Prepared, recipe: dict, seed: int, number: int = 0, processes: int = 1):
        self.split, self.recipe, self.seed = data.split("train"), recipe, seed
        self.share = share_of_batch(recipe["batch"], number, processes)
        self.mean, self.std, classes = data.meta["mean"], data.meta["std"], data.meta["classes"]
        flip = [v2.RandomHorizontalFlip(recipe["flip"])]
        policy = recipe["rand_augment"]
        self.per_image = v2.Compose(flip + ([rand_augment(policy, self.mean)] if policy else []))
        self.mix = FastCollateMixup(mixup_alpha=recipe["mixup"], label_smoothing=recipe["label_smoothing"], num_classes=classes)
        self.erase = RandomErasing(recipe["erasing"], mode=ERASING_MODE, device="cpu")
        self.steps = len(self.split) // recipe["batch"]  # the last, smaller batch of an epoch is left out

    def __getitem__(self, epoch_and_step: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Make a batch: images float32 [B, 3, S, S] and soft targets float32 [B, C], this process's share of them."""
        epoch, step = epoch_and_step
        batch = self.recipe["batch"]
        indices = epoch_order(self.seed, epoch, len(self.split))[step * batch : (step + 1) * batch]
        samples = [(self.image(epoch, int(i)), int(self.split.labels[i])) for i in indices[self.share]]
        seed_everything(self.seed, "batch", epoch, step)
        self.mix.mixup_enabled = self.recipe["mixup"] > 0 and epoch < self.recipe["mixup_off_epoch"]
        images, targets = self.mix(samples)
        unerased = self.erase(torch.ones(batch, 1, *images.shape[2:]))[self.share]  # drawn for the whole batch, image by image
        return torch.where(unerased == 0, 0.0, normalise(images, self.mean, self.std)), targets.float()

    def image(self, epoch: int, index: int) -> np.ndarray:
        """Augment one image by flip and RandAugment: uint8 [3, S, S]."""
        seed_everything(self.seed, "image", epoch, index)
        augmented = self.per_image(Image.fromarray(self.split.images[index]))
        return np.ascontiguousarray(np.asarray(augmented).transpose(2, 0, 1))

    def epoch(self, epoch: int, first_step: int, workers: int) -> DataLoader:
        """Load the epoch's batches from `first_step` on, in this process or in workers: the same batches either way."""
        places = [(epoch, step) for step in range(first_step, self.steps)]
        # The loader draws a seed for its workers from a generator of its own; no batch depends on it.
        loader_generator = torch.Generator().manual_seed(key_of(self.seed, "loader", epoch) % 2**63)
        return DataLoader(
            self, None, sampler=places, num_workers=workers, generator=loader_generator, worker_init_fn=ignore_termination
        )


def ignore_termination(_worker: int) -> None:
    """Ignore SIGTERM in a loader worker: a scheduler sends it to all processes of a job, and the training ends its workers."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
