import copy

import pytest
import yaml

from pipeline.campaign import declaration, read_declaration
from pipeline.campaign.read_declaration import EXPERIMENTS
from pipeline.command_line import CATALOGUE
from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT

GOOD = yaml.safe_load("""
scale: tiny
about: a test
datasets: {shapes: {train: 100}}
networks: {small: {depth: 2, width: 16, heads: 2}}
recipes: {short: {epochs: 1, warmup_epochs: 0, batch: 50}}
runs:
  static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0, 1]}
  at_snn: {method: at_snn, options: {gamma: 5}, parent: static, recipe: short}
evaluations: {static: {run: static}, at_snn: {run: at_snn}}
table1: [{evaluation: static, timesteps: 2}, {evaluation: at_snn}]
""")

SHORT = {"parent": "static", "recipe": "short"}


def load(folder, content):
    (folder / "tiny.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return read_declaration.load("tiny", CATALOGUE, folder)


def changed(path, value):
    content = copy.deepcopy(GOOD)
    place = content
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


def test_a_good_declaration_is_read_and_frozen(tmp_path):
    experiment = load(tmp_path, GOOD)
    assert declaration.inherited(experiment, "at_snn", "seeds") == (0, 1)
    with pytest.raises(Exception, match="frozen"):
        experiment.threads = 4


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_declaration_in_the_repository_is_good(path):
    assert read_declaration.load(path.stem, CATALOGUE).scale == path.stem


@pytest.mark.parametrize(
    "path, value, message",
    (
        (("theads",), 3, "tiny.yaml: unknown key theads: did you mean 'threads'?"),
        (("recipes", "short", "weight_deccay"), 1, "unknown key recipes.short.weight_deccay: did you mean 'weight_decay'?"),
        (("runs", "static", "method"), "statik", "method 'statik' is unknown: did you mean 'static'?"),
        (("runs", "at_snn", "parent"), "statik", "runs.at_snn.parent: 'statik' is not declared: did you mean 'static'?"),
        (("runs", "static", "parent"), "at_snn", "a cycle, static <- at_snn <- static"),
        (("runs", "static", "recipe"), "long", "runs.static.recipe: 'long' is not declared: known: short"),
        (("runs", "static", "dataset"), None, "runs.static.dataset is missing"),
        (("runs", "static", "dataset"), "shape", "runs.static.dataset: 'shape' is not declared: did you mean 'shapes'?"),
        (("runs", "at_snn", "options"), {"gama": 5}, "unknown option gama: did you mean 'gamma'?"),
        (
            ("runs", "at_snn", "options"),
            {},
            "runs.at_snn: method at_snn: option gamma is missing: it must be a whole number from 0 to 32",
        ),
        (("runs", "at_snn", "options"), {"gamma": 5, "axes": "3d"}, "option axes"),
        (("runs", "at_snn", "seeds"), [0, 7], "runs.at_snn.seeds: [7] not among the seeds of its parent 'static'"),
        (("datasets", "shaps"), {}, "dataset 'shaps' is unknown: did you mean 'shapes'?"),
        (
            ("datasets", "shapes", "train"),
            -1,
            "datasets.shapes.train must be a whole number from 1 to 1,000,000, as in 10000, but is -1",
        ),
        (("networks", "small", "heads"), 3, "networks.small: backbone spikformer: width 16 must be a multiple of heads (3)"),
        (
            ("recipes", "short", "batch"),
            33,
            "recipes.short.batch must be an even whole number from 2 to 1,000,000, as in 128, but is 33",
        ),
        (("recipes", "short", "rand_augment"), "rnd-m9", "recipes.short.rand_augment"),
        (("evaluations", "static", "run"), "nobody", "evaluations.static.run: 'nobody' is not declared"),
        (("table1",), [{"evaluation": "static", "timesteps": 5}], "table1.0.timesteps is 5, but evaluation 'static' runs 4"),
        (("table1",), [{"evaluatoin": "static"}], "unknown key table1.0.evaluatoin: did you mean 'evaluation'?"),
        (
            ("figures",),
            {"blocks_per_tokn": {"evaluations": ["static"]}},
            "figure 'blocks_per_tokn' is unknown: did you mean 'blocks_per_token'?",
        ),
        (("runs", "static", "seeds"), [0, 0], "runs.static.seeds: [0, 0] holds a seed twice"),
        (("runs", "static", "seeds"), [], "runs.static.seeds"),
        (("table1",), None, "table1 is missing: it must be a list of rows, as in [{evaluation: static}]"),
        (("recipes", "short", "rand_augment"), "rand-m9.9.9", "recipes.short.rand_augment"),
        (("recipes", "short", "warmup_epochs"), 2, "warmup_epochs 2 is more than epochs 1"),
        (("recipes", "short", "weight_decay"), -3, "recipes.short.weight_decay"),
        (("runs", "at_snn", "parent"), None, "runs.at_snn.dataset is missing"),
        (
            ("runs", "at_snn"),
            SHORT | {"method": "seenn_i"},
            "runs.at_snn.method: seenn_i trains nothing: name it among the exits",
        ),
        (("runs", "static", "method"), "tet", "runs.static.parent: tet starts from a run of static, not from nothing"),
        (
            ("runs", "at_snn"),
            SHORT | {"method": "static"},
            "runs.at_snn.parent: static starts from no parent, not from a run of static",
        ),
        (("evaluations", "at_snn", "exits"), ["tet"], "evaluations.at_snn.exits: method tet has no exit"),
        (("evaluations", "at_snn", "exits"), ["dt_snn"], "exits: dt_snn reads networks of dt_snn, run at_snn is of at_snn"),
        (
            ("evaluations", "at_snn", "exits"),
            ["at_snn_e"] * 2,
            "evaluations.at_snn.exits: ['at_snn_e', 'at_snn_e'] holds one twice",
        ),
        (
            ("table1",),
            [{"evaluation": "at_snn", "exit": "at_snn_e"}],
            "table1.0.exit: 'at_snn_e' is not among evaluations.at_snn.exits",
        ),
        (("figures",), {"blocks_per_token": {"evaluations": ["nobody"]}}, "figures.blocks_per_token.evaluations: 'nobody'"),
        (
            ("figures",),
            {"blocks_per_token": {"evaluations": ["static", "at_snn"]}},
            "figures.blocks_per_token.evaluations: ['static', 'at_snn'], but it shows 1 at most",
        ),
        (
            ("table1",),
            [{"evaluation": "static"}, {"evaluation": "static", "timesteps": 4}],
            "table1.1: static at 4 stands in an earlier row too",
        ),
        (
            ("figures",),
            {"accuracy_over_tokens": {"evaluations": ["static", "at_snn", "static"]}},
            "figures.accuracy_over_tokens.evaluations: ['static', 'at_snn', 'static'] holds one twice",
        ),
        (("figures",), {"blocks_per_token": {}}, "figures.blocks_per_token.evaluations: none is named"),
        (
            ("figures",),
            {"masking": {"evaluations": ["static"]}},
            "figures.masking.evaluations: 'static' is none of what it shows, those whose probe it is (probe: masking)",
        ),
        (
            ("figures",),
            {"two_neurons": {"evaluations": ["static"]}},
            "figures.two_neurons.evaluations: ['static'], but it shows 0",
        ),
        (("evaluations", "static", "probe"), "maskin", "evaluations.static: figure 'maskin' is unknown: did you mean 'masking'?"),
        (
            ("evaluations", "static", "probe"),
            "gamma_epsilon",
            "evaluations.static.probe: method static: unknown option gamma",
        ),
        (("evaluations", "static", "probe"), "two_neurons", "figure 'two_neurons' measures nothing by itself"),
        (
            ("evaluations", "static"),
            {"run": "static", "settings": {"draws": 5}},
            "evaluations.static.settings: they are a probe's",
        ),
        (
            ("evaluations", "static"),
            {"run": "static", "probe": "masking", "settings": {"draw": 5}},
            "evaluations.static: probe masking: unknown setting draw: did you mean 'draws'?",
        ),
        (
            ("evaluations", "at_snn"),
            {"run": "at_snn", "probe": "gamma_epsilon", "exits": ["at_snn_e"]},
            "evaluations.at_snn.exits: a probe has none",
        ),
        (("evaluations", "static", "probe"), "masking", "table1.0.evaluation: 'static' is a probe"),
        (
            ("networks", "small", "backbone"),
            "spikeformer",
            "networks.small: backbone 'spikeformer' is unknown: did you mean 'spikformer'?",
        ),
        (("networks", "small", "wdith"), 8, "networks.small: backbone spikformer: unknown setting wdith: did you mean 'width'?"),
        (
            ("networks", "small", "depth"),
            0,
            "backbone spikformer: setting depth must be a whole number from 1 to 1,000, as in 4, but is 0",
        ),
        (
            ("networks", "small"),
            {"backbone": "vit", "width": 16, "heads": 2, "timesteps": 4},
            "networks.small: backbone vit: 4 timesteps on a ViT, which has no time: write timesteps: 1",
        ),
        (
            ("networks", "small", "backbone"),
            "vit",
            "table1.0.timesteps is 2, but evaluation 'static' runs 1",
        ),
        (("runs", "at_snn"), SHORT | {"method": "a_vit"}, "runs.at_snn: a_vit is for vit, network 'small' is a spikformer"),
        (("recipes", "short", "lr"), float("inf"), "recipes.short.lr must be a number above 0, as in 0.0005, but is .inf"),
        (
            ("runs", "at_snn", "options"),
            {"gamma": 5, "alpha": float("nan")},
            "option alpha must be a number, as in 5.0, but is .nan",
        ),
        (
            ("runs", "static", "seeds"),
            [2**32],
            "runs.static.seeds.0 must be a whole number from 0 to 4,294,967,295, as in 0, but is 4294967296",
        ),
        (("recipes", "short", "batch"), 102, "runs.static: a batch of 102 is larger than the 100 training images"),
        (("extends",), "x" * 400, "has no declaration"),
        (("extends",), "nobody", "has no declaration nobody.yaml"),
        (("extends",), ["tiny"], "extends must be the name of another scale, as in smoke, but is [tiny]"),
        (("extends",), 3, "extends must be the name of another scale, as in smoke, but is 3"),
        (("extends",), "tiny", "extends 'tiny', which extends this one"),
        (("scale",), "other", "scale is 'other', the file's name says 'tiny'"),
    ),
)
def test_a_mistake_is_named_with_file_key_and_nearest_name(tmp_path, path, value, message):
    with pytest.raises(UserError) as error:
        load(tmp_path, changed(path, value))
    assert message in str(error.value) and "tiny.yaml" in str(error.value)


@pytest.mark.parametrize(
    "text, message",
    (
        ("a: [", "not valid YAML"),
        ("scale: tiny\nscale: tiny\n", "line 2: key 'scale' is repeated"),
        ("", "tiny.yaml is empty: declare a scale in it, as workflow/experiments/smoke.yaml does"),
        ("- a", "tiny.yaml: the file must be keys with values, as in {scale: .*}, but is .a."),
    ),
)
def test_what_is_no_declaration_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, text)


def test_a_declaration_that_extends_another_says_only_what_differs(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(GOOD | {"scale": "base"}))
    changes = {
        "scale": "tiny",
        "extends": "base",
        "recipes": {"short": {"lr": 0.1, "rand_augment": None}},
        "runs": {"static": {"seeds": [3]}, "at_snn": None},
        "evaluations": {"at_snn": None},
        "table1": [{"evaluation": "static"}],
    }
    experiment = load(tmp_path, changes)
    whole = changed(("runs", "static", "seeds"), [3]) | {"table1": [{"evaluation": "static"}]}
    whole["recipes"]["short"] |= {"lr": 0.1, "rand_augment": None}
    del whole["runs"]["at_snn"], whole["evaluations"]["at_snn"]
    assert experiment == load(tmp_path, whole)


def test_a_fault_may_be_of_the_declaration_that_is_extended(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(changed(("threads",), 0) | {"scale": "base"}))
    with pytest.raises(UserError, match=r"tiny.yaml \(or base.yaml, which it extends\): threads must be a whole number"):
        load(tmp_path, {"scale": "tiny", "extends": "base"})


def test_an_entry_that_is_taken_out_is_one_of_the_scale_that_is_extended(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(GOOD | {"scale": "base"}))
    with pytest.raises(
        UserError, match="tiny.yaml: runs.at_sn is empty, .* of base.yaml out, and there is none: did you mean 'at_snn'"
    ):
        load(tmp_path, {"scale": "tiny", "extends": "base", "runs": {"at_sn": None}})


def test_laptop_calls_by_the_papers_names_what_the_paper_trains():
    """The same method, options and parent under the same label; only sizes, epochs, counts of images and seeds differ."""
    laptop, paper = read_declaration.load("laptop", CATALOGUE), read_declaration.load("paper", CATALOGUE)
    same = {"method", "options", "parent", "dataset", "recipe", "timesteps"}
    shared = laptop.runs.keys() & paper.runs.keys()
    assert len(shared) >= 5
    assert all(laptop.runs[name].model_dump(include=same) == paper.runs[name].model_dump(include=same) for name in shared)


@pytest.mark.parametrize("name", ("laptop", "paper"))
def test_no_row_has_more_training_than_the_static_that_it_is_compared_with(name):
    """Whatever is retrained has a control of the same parent, as many epochs and at least its seeds; and as many as the pretraining."""
    from pipeline.campaign.declaration import inherited

    experiment = read_declaration.load(name, CATALOGUE)
    retrained = {label: run for label, run in experiment.runs.items() if run.parent}
    controls = {run.parent: label for label, run in retrained.items() if run.method == "static_control"}
    assert retrained
    for label, run in retrained.items():
        control = controls[run.parent]
        assert experiment.recipes[run.recipe] == experiment.recipes[retrained[control].recipe], label
        assert set(inherited(experiment, label, "seeds")) <= set(inherited(experiment, control, "seeds")), label
        before, after = (experiment.recipes[experiment.runs[one].recipe] for one in (run.parent, label))
        assert (before.epochs, before.cooldown_epochs) == (after.epochs, after.cooldown_epochs) and after.epochs >= 10, label


def test_the_papers_declaration_holds_the_papers_recipe_and_every_row_that_it_measured():
    from pipeline.campaign.campaign import Campaign
    from pipeline.reporting.tables.table1 import paper_rows

    experiment = read_declaration.load("paper", CATALOGUE)
    campaign = Campaign(experiment, CATALOGUE)
    assert all(run.recipe["epochs"] + run.recipe["cooldown_epochs"] == 310 for run in campaign.runs)
    assert {run.seed for run in campaign.runs} == {0, 1, 2}
    wanted = paper_rows()
    wanted = set(wanted[wanted.origin != "quoted"].key)
    found = set()
    for row in experiment.table1:
        evaluation = campaign.named(row.evaluation)[0]
        t = "exit" if row.exit else row.timesteps or evaluation.timesteps
        found.add((evaluation.run.data.name, row.exit or evaluation.run.method, evaluation.options.get("gamma"), t))
    assert len(wanted) == 29 and not wanted - found


def test_another_seed_in_the_papers_declaration_adds_exactly_its_runs():
    from pipeline.campaign.campaign import Campaign

    experiment = read_declaration.load("paper", CATALOGUE)
    one = {"cifar10_static": experiment.runs["cifar10_static"].model_copy(update={"seeds": (0, 1, 2, 3)})}
    more = Campaign(experiment.model_copy(update={"runs": experiment.runs | one}), CATALOGUE)
    before, after = ({run.id for run in c.runs} for c in (Campaign(experiment, CATALOGUE), more))
    added = [run for run in more.runs if run.id not in before]
    assert before < after and len(added) == 8 and {(run.seed, run.data.name) for run in added} == {(3, "cifar10")}
    sets_before = {Campaign(experiment, CATALOGUE).measured_set(run) for run in Campaign(experiment, CATALOGUE).runs}
    assert sets_before < {more.measured_set(run) for run in more.runs}


def test_an_unknown_scale_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        read_declaration.load("smok", CATALOGUE)


def test_reading_a_declaration_imports_no_torch():
    import subprocess
    import sys

    heavy = "{'torch', 'pandas', 'matplotlib'} & {*sys.modules}"
    code = (
        f"import sys; from pipeline.command_line import open_campaign; open_campaign('smoke').targets(); print({heavy} or 'none')"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "none\n"


def test_a_method_that_adapts_tokens_is_refused_on_a_network_that_has_none(tmp_path, monkeypatch):
    import models.spikformer

    monkeypatch.setattr(models.spikformer, "TOKENS", False)
    message = "runs.at_snn: at_snn adapts tokens, and network 'small', a Spikformer, has none: name another network"
    with pytest.raises(UserError, match=message):
        load(tmp_path, GOOD)
    without = changed(("runs", "at_snn"), None) | {
        "evaluations": {"static": {"run": "static"}},
        "table1": [{"evaluation": "static"}],
    }
    assert load(tmp_path, without).runs.keys() == {"static"}
