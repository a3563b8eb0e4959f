"""Ids are paths: those that are published stay as they are, and a field that is added later leaves them alone while it is as before."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

import baselines.at_snn
import models
import models.spikformer
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.declaration import Dataset, Evaluation, Recipe, Run
from pipeline.campaign.identity import describe, hashed
from pipeline.campaign.read_declaration import load
from pipeline.command_line import CATALOGUE
from pipeline.core.paths import ROOT
from pipeline.data.identity import Data
from pipeline.planning import reference_curves, training_kinds
from pipeline.reporting.figures import masking

PUBLISHED = json.loads(Path(__file__).with_name("published_ids.json").read_text())  # literals: no code here makes them


def published(scale, experiment=None):
    """The campaign of the images that were published."""
    images = {name: Data(**told) for name, told in PUBLISHED[scale]["images"].items()}
    return Campaign(experiment or load(scale, CATALOGUE), CATALOGUE, images=images)


def ids(campaign):
    return {
        "runs": [run.id for run in campaign.runs],
        "evaluations": [evaluation.id for evaluation in campaign.evaluations],
        "evaluation files": [campaign.measured_set(run) for run in campaign.measured_runs],
        "products": campaign.set_digest,
    }


def literals(scale):
    return {key: value for key, value in PUBLISHED[scale].items() if key != "images"}


@pytest.mark.parametrize("scale", ("laptop", "smoke"))
def test_the_published_ids_stand(scale):
    assert ids(published(scale)) == literals(scale)


def test_they_are_those_of_the_published_results():
    folder = ROOT / "results/laptop"
    assert sorted(path.name for path in (folder / "runs").iterdir()) == sorted(PUBLISHED["laptop"]["runs"])
    assert sorted(path.stem for path in (folder / "evals").iterdir()) == sorted(PUBLISHED["laptop"]["evaluation files"])
    assert {path.stem[-8:] for path in (folder / "made").iterdir()} == {PUBLISHED["laptop"]["products"]}


UNMARKED = object()


def later(model, before, default):
    """A model with a field that it got after the ids were published."""

    class Later(model):
        added: float = Field(default=default, json_schema_extra=None if before is UNMARKED else {"before": before})

    return Later


def with_recipe(monkeypatch, experiment, before, default):
    Later = later(Recipe, before, default)
    return experiment.model_copy(
        update={"recipes": {name: Later(**one.model_dump()) for name, one in experiment.recipes.items()}}
    )


def with_evaluation(monkeypatch, experiment, before, default):
    Later = later(Evaluation, before, default)
    evaluations = {name: Later(**one.model_dump()) for name, one in experiment.evaluations.items()}
    return experiment.model_copy(update={"evaluations": evaluations})


def with_run(monkeypatch, experiment, before, default):
    Later = later(Run, before, default)
    return experiment.model_copy(update={"runs": {name: Later(**one.model_dump()) for name, one in experiment.runs.items()}})


def with_model_of(module, name):
    def add(monkeypatch, experiment, before, default):
        monkeypatch.setattr(module, name, later(getattr(module, name), before, default))
        return experiment

    return add


ADDED = {
    "recipe": (with_recipe, "static-s0"),
    "run": (with_run, "static-s0"),
    "network": (with_model_of(models.spikformer, "Settings"), "static-s0"),
    "method's options": (with_model_of(baselines.at_snn, "Options"), "at_snn_gamma10-s0"),
    "probe's settings": (with_model_of(masking, "Settings"), "static_masked-s0"),
    "evaluation": (with_evaluation, "static-s0"),
}


@pytest.mark.parametrize("place", ADDED)
def test_a_field_that_is_added_later_leaves_every_id_alone_while_it_is_as_before(monkeypatch, place):
    kinds = kinds_of(published("smoke"))
    campaign = published("smoke", ADDED[place][0](monkeypatch, load("smoke", CATALOGUE), 0.5, 0.5))
    assert ids(campaign) == literals("smoke") and kinds_of(campaign) == kinds


@pytest.mark.parametrize("place", ADDED)
def test_it_is_part_of_ids_once_it_is_not_and_a_new_default_is_not_as_before(monkeypatch, place):
    add, changed = ADDED[place]
    campaign = published("smoke", add(monkeypatch, load("smoke", CATALOGUE), 0.5, 0.75))
    known = {*PUBLISHED["smoke"]["runs"], *PUBLISHED["smoke"]["evaluations"]}
    new = [key for key in (*ids(campaign)["runs"], *ids(campaign)["evaluations"]) if key not in known]
    assert any(key.startswith(changed) for key in new)
    runs = [run for run in campaign.runs if run.id in new]
    assert all("added" in str(describe(run)) or run.parent.id in new for run in runs), (
        "a run's folder says what its id is made of"
    )


@pytest.mark.parametrize("place", ADDED)
def test_a_field_that_is_added_without_a_word_on_how_it_was_before_does_not_pass_unnoticed(monkeypatch, place):
    add, changed = ADDED[place]
    values = []
    for value in (0.5, 0.75):
        with monkeypatch.context() as patch:
            values.append(ids(published("smoke", add(patch, load("smoke", CATALOGUE), UNMARKED, value))))
    assert literals("smoke") not in values and values[0] != values[1]


def test_a_data_sets_id_is_made_of_all_that_is_declared_of_it():
    assert set(Dataset.model_fields) == {"train", "test"}, "a field that is added belongs into pipeline.data.identity.Data.id"


def test_a_field_deep_in_a_models_settings_and_one_that_holds_several_values_can_be_added_too(monkeypatch):
    class Neuron(BaseModel):
        threshold: float = Field(default=1.0, json_schema_extra={"before": 1.0})

    class Later(models.spikformer.Settings):
        added: tuple[int, ...] = Field(default=(1, 2), json_schema_extra={"before": (1, 2)})

    monkeypatch.setattr(models.spikformer, "Settings", Later)
    assert ids(published("smoke")) == literals("smoke")
    assert hashed(Later(timesteps=4)) == hashed(models.TransformerSettings(timesteps=4))
    assert hashed({"neuron": Neuron()}) == {"neuron": {}} and hashed({"neuron": Neuron(threshold=2)}) == {
        "neuron": {"threshold": 2}
    }


def test_what_is_added_to_one_method_changes_no_other(monkeypatch):
    add, _ = ADDED["method's options"]
    campaign = published("smoke", add(monkeypatch, load("smoke", CATALOGUE), 0.5, 0.75))
    same = [run.id in PUBLISHED["smoke"]["runs"] for run in campaign.runs]
    assert same == [run.method != "at_snn" for run in campaign.runs] and not all(same)


def kinds_of(campaign):
    """Names under which speeds and reference curves of a kind of training are published."""
    runs = [(training_kinds.kind_of(run), str(reference_curves.kind_of(run))) for run in campaign.runs]
    return runs + [training_kinds.pass_kind(evaluation) for evaluation in campaign.evaluations]
