"""Live rows are packed in the order of timestep, image and token, and come back to their places."""

import torch

from models.live_rows import LiveRows
from models.neuron import lif
from models.spiking_layers import NormLinear, SpikingLinear


def some(*shape):
    torch.manual_seed(0)
    return torch.randn(*shape, dtype=torch.float64), torch.rand(*shape[:-1]) < 0.6


def test_rows_come_back_to_their_places_and_the_others_are_0():
    x, live = some(2, 3, 4, 5)
    rows = LiveRows(live)
    assert torch.equal(rows.pack(x), x[live]) and torch.equal(rows.unpack(rows.pack(x)), torch.where(live[..., None], x, 0))
    assert torch.equal(rows.start, torch.tensor([0, *live.sum(dim=2).flatten().cumsum(0)]))


def test_layers_on_live_rows_are_those_on_all_rows_masked():
    x, live = some(3, 2, 4, 5)
    rows = LiveRows(live)
    for layer, packed in ((SpikingLinear(5, 6), rows.spiking_linear), (NormLinear(5, 6), rows.norm_linear)):
        layer = layer.double().eval()
        with torch.no_grad():
            assert torch.allclose(rows.unpack(packed(layer, rows.pack(x))), layer(x, live), atol=1e-12)
    current = torch.where(live[..., None], 3 * x, 0)
    spikes = rows.unpack(rows.lif(torch.nn.Identity(), rows.pack(current)))
    assert torch.equal(spikes, torch.where(live[..., None], lif(current), 0))
