import copy

import pytest
import yaml

from pipeline import declaration
from pipeline.declaration import EXPERIMENTS, ROOT
from pipeline.errors import UserError

GOOD = yaml.safe_load("""
scale: tiny
about: a test
datasets: {shapes: {train: 100}}
networks: {small: {depth: 2, width: 16, heads: 2}}
recipes: {short: {epochs: 1, warmup_epochs: 0}}
runs:
  static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0, 1]}
  at_snn: {method: at_snn, options: {gamma: 5}, parent: static, recipe: short}
evaluations: {static: {run: static}, at_snn: {run: at_snn}}
table1: [{evaluation: static, timesteps: 2}, {evaluation: at_snn}]
""")


def load(folder, content):
    (folder / "tiny.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return declaration.load("tiny", folder)


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
    assert declaration.load(path.stem).scale == path.stem


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
        (("runs", "at_snn", "options"), {}, "runs.at_snn: method at_snn: option gamma: field required"),
        (("runs", "at_snn", "options"), {"gamma": 5, "axes": "3d"}, "option axes"),
        (("runs", "at_snn", "seeds"), [0, 7], "runs.at_snn.seeds: [7] not among the seeds of its parent 'static'"),
        (("datasets", "shaps"), {}, "dataset 'shaps' is unknown: did you mean 'shapes'?"),
        (("datasets", "shapes", "train"), -1, "datasets.shapes.train: input should be greater than 0"),
        (("networks", "small", "heads"), 3, "networks.small: width 16 must be a multiple of 8 and of heads (3)"),
        (("recipes", "short", "batch"), 33, "recipes.short.batch: input should be a multiple of 2"),
        (("recipes", "short", "rand_augment"), "rnd-m9", "recipes.short.rand_augment"),
        (("evaluations", "static", "run"), "nobody", "evaluations.static.run: 'nobody' is not declared"),
        (("table1",), [{"evaluation": "static", "timesteps": 5}], "table1.0.timesteps is 5, but evaluation 'static' runs 4"),
        (("table1",), [{"evaluatoin": "static"}], "unknown key table1.0.evaluatoin: did you mean 'evaluation'?"),
        (
            ("figures",),
            {"blocks_per_tokn": {"evaluation": "static"}},
            "figure 'blocks_per_tokn' is unknown: did you mean 'blocks_per_token'?",
        ),
        (("runs", "static", "seeds"), [0, 0], "runs.static.seeds: [0, 0] holds a seed twice"),
        (("runs", "static", "seeds"), [], "runs.static.seeds"),
        (("table1",), None, "table1: field required"),
        (("recipes", "short", "rand_augment"), "rand-m9.9.9", "recipes.short.rand_augment"),
        (("recipes", "short", "warmup_epochs"), 2, "warmup_epochs 2 is more than epochs 1"),
        (("recipes", "short", "weight_decay"), -3, "recipes.short.weight_decay"),
        (("evaluations", "static", "split"), "heldout", "'static' is of held-out images, Table 1 is of test images"),
        (("scale",), "other", "scale is 'other', the file's name says 'tiny'"),
    ),
)
def test_a_mistake_is_named_with_file_key_and_nearest_name(tmp_path, path, value, message):
    with pytest.raises(UserError) as error:
        load(tmp_path, changed(path, value))
    assert message in str(error.value) and "tiny.yaml" in str(error.value)


@pytest.mark.parametrize(
    "text, message", (("a: [", "not valid YAML"), ("scale: tiny\nscale: tiny\n", "key 'scale' is repeated"), ("", "tiny.yaml"))
)
def test_what_is_no_declaration_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, text)


def test_an_unknown_scale_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        declaration.load("smok")


def test_reading_a_declaration_imports_no_torch():
    import subprocess
    import sys

    code = (
        "import sys; from pipeline.campaign import open_campaign; open_campaign('smoke').targets(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"
