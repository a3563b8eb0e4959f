"""What a declaration can name is found by its file's name, and what it chooses is validated by the model that owns it."""

import sys

import pytest

import models
from pipeline.command_line import CATALOGUE
from pipeline.core.catalogue import Shelf
from pipeline.core.errors import UserError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a module, a folder that holds a network, and one that does not."""
    folder = tmp_path / "found_by_name"
    for name in ("__init__.py", "plain.py", "whole/__init__.py", "whole/network.py", "other/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("TITLE = 'it'\n")
    monkeypatch.syspath_prepend(tmp_path)
    import found_by_name

    yield found_by_name
    for name in [name for name in sys.modules if name.startswith("found_by_name")]:
        del sys.modules[name]


def test_modules_are_found_by_their_files_and_folders_by_the_file_that_they_hold(package):
    assert sorted(Shelf(package, "thing").names) == ["other", "plain", "whole"]
    shelf = Shelf(package, "backbone", holding="network.py")
    assert shelf.names == ["whole"] and shelf["whole"].TITLE == "it"


def test_looking_imports_nothing_and_an_unknown_name_tells_the_nearest(package):
    shelf = Shelf(package, "thing")
    with pytest.raises(UserError, match="thing 'plane' is unknown: did you mean 'plain'?"):
        shelf["plane"]
    assert "found_by_name.plain" not in sys.modules


def test_backbones_are_the_folders_of_models_that_hold_a_network():
    shelf = Shelf(models, "backbone", holding="network.py")
    assert sorted(shelf.names) == ["spikformer", "spikingformer", "vit"]
    assert "at_snn" not in shelf.names and "native" not in shelf.names


@pytest.mark.parametrize(
    "validate, message",
    (
        (lambda: CATALOGUE.method_options("at_snn", {"gama": 5}), "method at_snn: .*unknown option gama: did you mean 'gamma'"),
        (lambda: CATALOGUE.method_options("at_snn", {}), "method at_snn: option gamma is missing: it must be a whole number"),
        (lambda: CATALOGUE.probe_settings("masking", {"draw": 5}), "probe masking: unknown setting draw: did you mean 'draws'"),
        (lambda: CATALOGUE.probe_settings("two_neurons", {}), "figure 'two_neurons' measures nothing by itself"),
        (
            lambda: CATALOGUE.network_settings("spikformer", {"heads": 5}),
            r"spikformer: width 384 must be a multiple of heads \(5\)",
        ),
        (lambda: CATALOGUE.network_settings("spikformer", {"width": 60}), "spikformer: width 60 must be a multiple of 8"),
        (
            lambda: CATALOGUE.network_settings("vit", {"timesteps": 2}),
            "2 timesteps on a ViT, which has no time: write timesteps: 1",
        ),
        (
            lambda: CATALOGUE.network_settings("vit", {"width": "wide"}),
            "backbone vit: setting width must be a whole number from 1 to 65,536, as in 384, but is 'wide'",
        ),
    ),
)
def test_a_mistake_is_one_line_with_the_name_that_was_meant(validate, message):
    with pytest.raises(UserError, match=message) as error:
        validate()
    assert "\n" not in str(error.value)


def test_an_architecture_is_named_by_title_and_size():
    settings = CATALOGUE.network_settings("spikingformer", {"depth": 8})
    assert CATALOGUE.architecture("spikingformer", settings) == "Spikingformer-8-384"
