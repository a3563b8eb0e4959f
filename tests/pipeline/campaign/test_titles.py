"""Data sets, methods, runs and rows by the names that readers see."""

from types import SimpleNamespace

from test_read_declaration import GOOD

from pipeline.campaign import titles
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import validate
from pipeline.command_line import CATALOGUE


def test_a_method_is_named_with_the_options_that_are_not_its_defaults():
    assert titles.method_title(CATALOGUE, "at_snn", {"gamma": 5}) == "AT-SNN (γ = 5)"
    assert titles.method_title(CATALOGUE, "at_snn", {"gamma": 5, "beta": -2.0}) == "AT-SNN (γ = 5, β = -2)"
    assert titles.method_title(CATALOGUE, "static", {}) == "STATIC" and titles.data_title(CATALOGUE, "cifar100") == "CIFAR-100"


def test_a_run_is_named_by_its_backbone_where_that_is_not_the_papers():
    run = SimpleNamespace(data=SimpleNamespace(name="cifar10"), method="static", network={"backbone": "spikformer"}, seed=3)
    assert titles.run_title(CATALOGUE, run, {}) == "CIFAR-10 STATIC, seed 3"
    run.network = {"backbone": "vit"}
    assert titles.run_title(CATALOGUE, run, {}, seed=False) == "CIFAR-10 ViT STATIC"


def test_a_row_is_named_by_its_evaluation_and_its_timesteps():
    campaign = Campaign(validate(GOOD, CATALOGUE), CATALOGUE)
    first, second = campaign.experiment.table1
    assert titles.row_title(campaign, first).endswith("STATIC, T 2") and titles.row_title(campaign, second).endswith(
        "(γ = 5), T 4"
    )
