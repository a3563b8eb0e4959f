import numpy as np
import torch
from reference import random_official_state_dict

from models.at_snn import ATSNN
from models.backbone import Backbone, BackboneOutput
from models.convert import from_official_spikformer
from pipeline.evaluation.measure import Measurement, measure


def batches():
    random = torch.Generator().manual_seed(0)
    return [(torch.randn(size, 3, 32, 32, generator=random), torch.randint(0, 5, (size,), generator=random)) for size in (3, 2)]


def network(gamma, **change):
    backbone = from_official_spikformer(random_official_state_dict(depth=3, width=24, classes=5, seed=0, **change), heads=4)
    return ATSNN(backbone, gamma=gamma) if gamma is not None else backbone


def test_predictions_are_of_the_mean_over_the_timesteps_so_far():
    logits = np.array([[[1.0, 0, 0]], [[0, 3.0, 0]], [[0, 0, 9.0]]])
    read = Measurement(np.array([1]), logits, depth=1)
    assert read.means[1].tolist() == [[0.5, 1.5, 0]] and read.correct.tolist() == [[False], [True], [False]]
    assert read.summary()["accuracy_by_timestep"] == [0, 100, 0]


def test_shares_add_up_and_batches_are_joined_in_order():
    model = network(5, blockwise_gain=1.0)
    measured = measure(model, batches(), device="cpu", dtype=torch.float64)
    images = torch.cat([x for x, _ in batches()]).double()
    with torch.no_grad():
        trace = model.eval()(images).trace
    assert np.array_equal(measured.blocks, trace.executed.sum((0, 1)).numpy())
    assert np.array_equal(measured.halt_block, trace.halt_block.numpy())
    assert np.allclose(measured.image_tokens, trace.executed.double().mean((0, 3)).numpy(), rtol=0, atol=1e-15)
    told = measured.summary()
    assert told["merged_by_block"] == [5 / 64, 10 / 64, 15 / 64]
    for computed, merged, halted in zip(told["tokens_by_block"], told["merged_by_block"], told["halted_by_block"]):
        assert abs(computed + merged + halted - 1) < 1e-12 and halted >= 0
    assert told["halted_by_block"][2] > 0
    assert abs(told["average_tokens"] - trace.executed.double().mean().item()) < 1e-12
    first = trace.executed[:, :1].double().mean().item()
    assert abs(told["average_tokens_by_timestep"][0] - first) < 1e-12


def test_a_network_without_a_trace_runs_every_token():
    told = measure(network(None), batches(), device="cpu", dtype=torch.float64).summary()
    assert told["average_tokens_by_timestep"] == [1.0] * 4 and told["tokens_by_block"] == [1.0] * 3 and told["images"] == 5


def test_the_histogram_counts_every_computed_token_by_its_channel_0():
    model = network(0).eval()
    measured = measure(model, batches(), device="cpu", dtype=torch.float64)
    with torch.no_grad():
        u = model.backbone.blocks[0](model.backbone.embed(torch.cat([x for x, _ in batches()]).double()))
    counts = torch.bincount(u[..., 0].flatten().long(), minlength=5)
    assert measured.channel_0[0, ::2].tolist()[:5] == counts.tolist()[:5] and measured.channel_0[0, 1::2].sum() == 0


def test_training_mode_is_restored():
    model = network(None).train()
    measure(model, batches(), device="cpu", dtype=torch.float64)
    assert model.training


def test_a_network_without_tokens_is_measured_by_its_logits_alone():
    class Pixels(Backbone):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3 * 32 * 32, 5)

        def forward(self, images):
            return BackboneOutput(self.head(images.flatten(1)).expand(2, -1, -1))

    measured = measure(Pixels().double(), batches(), device="cpu", dtype=torch.float64)
    metrics = measured.summary()
    assert measured.logits.shape == (2, 5, 5) and metrics["average_tokens"] == 1 and metrics["tokens_by_block"] == []
