"""Prepared data of noise."""

import numpy as np
import pytest

from pipeline.data.identity import Data
from pipeline.data.prepared import Prepared, prepare
from pipeline.data.sources import Raw


def prepared_noise(folder, count, train, test):
    """`count` images of 10 classes to choose `train` from, the first `test` of them as test images, in a folder."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.data.identity.PREPARED", folder)
        source = Data("noise", "noise-1", "noise", True, train, None)
        return Prepared(prepare(Raw(images, labels, images[:test], labels[:test]), source, title="noise", classes=10))
