"""Whatever is found by its name keeps the contract of its kind: methods, backbones, data sets and figures, those that are added too."""

import pytest

import baselines
from models import NetworkSettings
from pipeline.command_line import CATALOGUE
from pipeline.core.errors import UserError


@pytest.mark.parametrize("name", CATALOGUE.methods.names)
def test_a_method_keeps_its_contract(name):
    check_method(name)


def check_method(name):
    """It is named, starts from somewhere known, and trains, or stops early, or both."""
    method, known = CATALOGUE.methods[name], CATALOGUE.methods.names
    required = {key: 5 for key, field in method.Options.model_fields.items() if field.is_required()}
    options = method.Options(**required)
    assert options.model_config["frozen"] and options.model_config["extra"] == "forbid"
    assert baselines.label(method.TITLE, options).startswith(method.TITLE)
    assert method.PARENTS and set(method.PARENTS) <= {None, *known}
    assert set(getattr(method, "BACKBONES", ())) <= set(CATALOGUE.backbones.names)
    trains, exits = hasattr(method, "loss"), hasattr(method, "confidence")
    assert trains == hasattr(method, "build") and (trains or exits)
    if trains:
        check_training(method, options)
    else:
        assert None not in method.PARENTS and all(hasattr(CATALOGUE.methods[parent], "loss") for parent in method.PARENTS)
    if exits:
        check_exit(method.confidence)


def check_training(method, options):
    """Built on a small network, its loss falls when the right class gains, and reaches every weight."""
    import torch

    from models.at_snn import ATSNN
    from models.spikformer import Spikformer

    torch.manual_seed(0)
    network = method.build(Spikformer(depth=2, width=16, heads=2), options)
    output = network(torch.randn(2, 3, 32, 32))
    assert output.logits.shape == (4, 2, 10)
    target = torch.nn.functional.one_hot(torch.tensor([3, 4]), 10).float()
    better = output._replace(logits=output.logits + 5 * target)
    assert method.loss(better, target, options) < method.loss(output, target, options)
    method.loss(output, target, options).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert not isinstance(network, ATSNN) or method.ADAPTS_TOKENS, "it merges or halts tokens"


def check_exit(confidence):
    """It reads mean logits [T, N, C], lies in [0, 1], is largest for a sure prediction and smallest for an even one."""
    import numpy as np

    logits = np.zeros((2, 3, 7))
    logits[1, :, 2] = 0.5, 3, 1000
    values = confidence(logits)
    assert values.shape == (2, 3) and (0 <= values + 1e-12).all() and (values <= 1 + 1e-12).all()
    assert (values[0] == values[0, 0]).all() and values[0, 0] < values[1, 0] < values[1, 1] < values[1, 2] == pytest.approx(1)


@pytest.mark.parametrize("name", CATALOGUE.datasets.names)
def test_a_data_set_keeps_its_contract(name):
    dataset = CATALOGUE.datasets[name]
    source = dataset.source(None)
    assert source.official and source.fingerprint and dataset.TITLE in source.origin
    assert dataset.IMAGE_SIZE in (32, 64) and dataset.CLASS_COUNT > 1 and 1000 % dataset.CLASS_COUNT == 0
    assert callable(dataset.read)
    assert all(count > 0 for count in getattr(dataset, "COUNTS", ()))


@pytest.mark.parametrize("name", CATALOGUE.figures.names)
def test_a_figure_keeps_its_contract(name):
    figure = CATALOGUE.figures[name]
    assert figure.TITLE and len(figure.DEFINITION) > 40 and callable(figure.draw)
    assert figure.MOST_EVALUATIONS is None or figure.MOST_EVALUATIONS >= 0
    assert hasattr(figure, "measure") == hasattr(figure, "Settings")
    if hasattr(figure, "measure"):
        assert figure.Settings.model_config["frozen"] and figure.Settings.model_config["extra"] == "forbid"
        settings = figure.Settings()  # every one has a default
        assert not hasattr(figure, "passes") or figure.passes(settings) >= 1


@pytest.mark.parametrize("name", CATALOGUE.backbones.names)
def test_a_backbone_keeps_its_contract(name):
    backbone = CATALOGUE.backbones[name]
    settings = backbone.Settings()  # every one has a default
    assert backbone.TITLE and isinstance(backbone.TOKENS, bool) and isinstance(settings, NetworkSettings)
    assert settings.model_config["frozen"] and settings.model_config["extra"] == "forbid"
    assert CATALOGUE.architecture(name, settings) == f"{backbone.TITLE}-{settings.size}"
    with pytest.raises(UserError, match="unknown setting timestep: did you mean 'timesteps'"):
        CATALOGUE.network_settings(name, {"timestep": 4})
    check_network(lambda **sizes: backbone.build(classes=5, **sizes, **settings.model_dump()), settings.timesteps)
    if backbone.TOKENS:
        check_tokens(backbone.build(classes=5, image_size=32, **settings.model_dump()))


def check_network(build, timesteps):
    """Images of both sizes become logits of every timestep; each image has its own; every weight learns, and is counted or added."""
    import torch

    from models.backbone import Backbone
    from pipeline.evaluation.energy import CONVENTIONS, measure_energy

    torch.manual_seed(0)
    assert build(image_size=64).eval()(torch.randn(1, 3, 64, 64)).logits.shape == (timesteps, 1, 5)
    network, images = build(image_size=32), torch.randn(3, 3, 32, 32, dtype=torch.float64)
    assert isinstance(network.double(), Backbone) and network.timesteps == timesteps
    network(images).logits.square().mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    with torch.no_grad():
        whole, alone = network.eval()(images).logits, network(images[1:2]).logits
    assert torch.allclose(whole[:, 1:2], alone, atol=1e-9), "an image's logits don't depend on the batch"
    energy = measure_energy(network, [(images, torch.zeros(3))], device="cpu", dtype=torch.float64)
    assert energy.images.shape[2:] == (timesteps, 3) and all(sum(row["operations"]) > 0 for row in energy.layers)
    assert all((energy.images[place].sum(axis=(0, 1)) > 0).all() for place, _ in enumerate(CONVENTIONS))
    check_spikes(network, images)
    check_training_step(build(image_size=32), images.float())


def check_training_step(network, images):
    """In float32, and with products in bfloat16, as a processor trains, with compiled kernels where there are some."""
    import torch

    for products in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=products == torch.bfloat16):
            logits = network.train()(images).logits
        network.zero_grad()
        logits.float().square().mean().backward()
        assert all(torch.isfinite(weight.grad).all() for weight in network.parameters())


def check_spikes(network, images):
    """What it says are spikes are 0 and 1, under names of its own."""
    import torch

    names, values = [], []
    for tap in network.spike_taps():
        names += tap.names
        hook = (lambda _, given: values.append(given[0])) if tap.given else (lambda _, given, output: values.append(output))
        (tap.layer.register_forward_pre_hook if tap.given else tap.layer.register_forward_hook)(hook)
    with torch.no_grad():
        network(images)
    assert len(set(names)) == len(names) and len(values) == len(list(network.spike_taps()))
    assert all(((value == 0) | (value == 1)).all() for value in values)


def check_tokens(network):
    """Tokens that are not live are 0, and nothing of them reaches the others; packed, where it can be, is the same as masked."""
    import torch

    from models.at_snn import ATSNN
    from models.packed import PackedATSNN, can_pack

    torch.manual_seed(0)
    network, images = network.double().eval(), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        u = network.embed(images)
        timesteps, batch, tokens, _ = u.shape
        assert (timesteps, batch, tokens) == (network.timesteps, 2, 64)
        live = torch.rand(timesteps, batch, tokens) < 0.7
        masked = torch.where(live[..., None], u, 0)
        after = network.blocks[0](masked, live, "all")
        assert not after[~live].any()
        fewer = live.clone()
        fewer[:, :, ::2] = False
        one, other = (network.blocks[0](torch.where(fewer[..., None], x, 0), fewer, "all") for x in (masked, u))
        assert torch.equal(one, other)
        assert network.classify(after.mean(dim=2)).shape == (timesteps, batch, 5)
        model = ATSNN(network, gamma=5, beta=-1.0)
        output = model(images)
        assert output.trace.tokens[0] == 59 and torch.isfinite(output.logits).all()
        if can_pack(model):
            assert torch.allclose(PackedATSNN(model)(images).logits, output.logits, atol=1e-9)
