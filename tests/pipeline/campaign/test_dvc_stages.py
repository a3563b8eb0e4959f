"""The stages of DVC are those of the declaration: its targets are outputs, and no other scale's change touches them."""

from pathlib import Path

import pytest
import yaml

from pipeline.campaign import dvc_stages
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.freshness import targets
from pipeline.campaign.read_declaration import EXPERIMENTS, load
from pipeline.command_line import CATALOGUE, open_campaign
from pipeline.core.paths import ROOT

SCALES = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def outputs_of(stage):
    return {path: options for kind in ("outs", "metrics") for out in stage[kind] for path, options in out.items()}


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """Scales that extend smoke: `one` and `two` use its data set, `three` another number of its images and no figure."""
    monkeypatch.setattr(dvc_stages, "EXPERIMENTS", tmp_path)
    monkeypatch.setattr(dvc_stages, "ROOT", tmp_path)
    (tmp_path / "smoke.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text())
    figures = yaml.safe_load((EXPERIMENTS / "smoke.yaml").read_text())["figures"]
    changes = {
        "one": {"extends": "smoke"},
        "two": {"extends": "one"},
        "three": {"extends": "smoke", "datasets": {"shapes": {"train": 800}}, "figures": dict.fromkeys(figures)},
    }
    for scale, change in changes.items():
        (tmp_path / f"{scale}.yaml").write_text(yaml.safe_dump({"scale": scale, **change}))
    return lambda scale: Campaign(load(scale, CATALOGUE, tmp_path), CATALOGUE)


@pytest.mark.parametrize("scale", SCALES)
def test_every_declaration_has_its_stages_and_every_target_is_an_output(scale):
    campaign = open_campaign(scale)
    stage = dvc_stages.reproduce_stages(campaign)["stages"]["reproduce"]
    outputs, inputs = outputs_of(stage), stage["deps"]
    for target in targets(campaign):
        places = {target, *map(str, Path(target).parents)}
        assert len(places & {*outputs, *inputs}) == 1, target  # prepared data are inputs: each is tracked by itself
    assert all(path.startswith(f"results/{scale}/") and options["persist"] for path, options in outputs.items())
    in_cache = {path for path, options in outputs.items() if options.get("cache", True)}
    made_here = {part for target in targets(campaign) for part in Path(target).parts}  # a published clone lacks arrays
    assert in_cache == {f"results/{scale}/{name}" for name in {"weights", "arrays"} & made_here}
    assert all((ROOT / path).exists() for path in inputs if not path.startswith("data/prepared/"))


@pytest.mark.parametrize("scale", SCALES)
def test_a_stage_names_its_scale_and_depends_on_no_declaration_but_its_own(scale):
    campaign = open_campaign(scale)
    stages = {**dvc_stages.reproduce_stages(campaign)["stages"], **dvc_stages.bench_stages(campaign)["stages"]}
    for stage in stages.values():
        assert stage["cmd"].endswith(f" --config scale={scale}")
        declared = [path for path in stage["deps"] if path.startswith("workflow/experiments")]
        assert declared == dvc_stages.declarations(scale) and declared[0] == f"workflow/experiments/{scale}.yaml"


def test_the_output_of_bench_is_the_folder_of_all_kinds_of_processors(tmp_path, monkeypatch):
    campaign = open_campaign("laptop")
    stage = dvc_stages.bench_stages(campaign)["stages"]["bench"]
    assert outputs_of(stage) == {"results/laptop/bench": {"persist": True, "cache": False}}
    kinds = {path.parent.name for path in (ROOT / "results/laptop/bench").glob("*/benchmark.json")}
    assert kinds and {path.name for path in (ROOT / "results/laptop/bench").iterdir()} == kinds
    monkeypatch.chdir(tmp_path)
    ratios = tmp_path / "results/laptop/bench/some-kind/ratios.json"
    ratios.parent.mkdir(parents=True)
    ratios.touch()
    file = dvc_stages.write_stages(campaign, "bench")
    (metric,) = yaml.safe_load(file.read_text())["metrics"]
    assert (file.parent / metric).resolve() == ratios
    assert (file.parent / stage["wdir"]).resolve() == tmp_path and not file.is_relative_to("results/laptop/bench")


def test_a_declaration_that_extends_others_depends_on_them_too(declared):
    assert dvc_stages.declarations("two") == ["two.yaml", "one.yaml", "smoke.yaml"]
    assert dvc_stages.declarations("smoke") == ["smoke.yaml"]


def test_scales_share_a_data_set_by_its_id(declared):
    one, two, three = (dvc_stages.data_folders(declared(scale)) for scale in ("one", "two", "three"))
    assert one == two != three and len({*one, *three}) == 2


def test_a_scale_without_figures_has_no_output_for_them(declared):
    content = dvc_stages.reproduce_stages(declared("three"))
    assert not any("figures" in path for path in outputs_of(content["stages"]["reproduce"]))
    assert [next(iter(plot)) for plot in content["plots"]] == list(dvc_stages.CURVES)


def test_stages_are_written_once_and_again_when_the_declaration_changed(declared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = declared("one")
    file = dvc_stages.write_stages(one, "reproduce")
    assert file == Path("results/one/dvc.yaml") and (file.parent / "../..").resolve() == tmp_path
    whole, time = file.read_text(), file.stat().st_mtime_ns
    dvc_stages.write_stages(one, "reproduce")
    assert file.stat().st_mtime_ns == time, "the same text is not written again"
    (tmp_path / "one.yaml").write_text("extends: smoke\nscale: one\nfigures: {masking: null}\n")
    dvc_stages.write_stages(declared("one"), "reproduce")
    assert "masking.svg" in whole and "masking.svg" not in file.read_text()


def test_the_lock_beside_dvc_yaml_holds_nothing_that_differs_between_scales():
    stages, lock = (yaml.safe_load((ROOT / name).read_text())["stages"] for name in ("dvc.yaml", "dvc.lock"))
    assert lock == stages and list(lock) == list(stages), "no inputs, no outputs, no scale: dvc repro never rewrites it"
    assert all(set(stage) == {"cmd"} and "$" not in stage["cmd"] for stage in stages.values())
