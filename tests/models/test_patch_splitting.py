"""An image of either size becomes 8 x 8 vectors of spikes; a step of time after another gives what all at once do."""

import pytest
import torch

from models.neuron import Membranes
from models.patch_splitting import PatchSplitting


@pytest.mark.parametrize("size", (32, 64))
def test_images_of_both_sizes_become_8_by_8_vectors_of_spikes(size):
    torch.manual_seed(0)
    splitting = PatchSplitting(16, size).double().eval()
    image = torch.randn(2, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        spikes = splitting.split(image, 3)
        membranes = Membranes()
        one_by_one = torch.cat([splitting.split(image, 1, membranes) for _ in range(3)])
    assert spikes.shape == (3, 2, 8, 8, 16) and ((spikes == 0) | (spikes == 1)).all()
    assert torch.equal(spikes, one_by_one)


def test_another_size_is_refused():
    with pytest.raises(ValueError, match=r"image_size 48 is not supported: use one of \[32, 64\]"):
        PatchSplitting(16, 48)
