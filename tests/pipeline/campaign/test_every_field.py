"""Whatever stands in a field of a declaration is read, or refused in one line that a researcher who knows no pydantic understands."""

import copy
import re

import pytest
import yaml

from pipeline.campaign import declaration, read_declaration
from pipeline.campaign.check_declaration import check
from pipeline.campaign.declaration import Experiment
from pipeline.campaign.read_yaml import read_yaml
from pipeline.command_line import CATALOGUE
from pipeline.core.errors import UserError

GOOD = """
scale: tiny
about: a test
datasets: {shapes: {train: 100, test: 50}, cifar10: {}}
networks:
  spikformer: {depth: 2, width: 16, heads: 2}
  spikingformer: {backbone: spikingformer, depth: 2, width: 16, heads: 2}
  vit: {backbone: vit, depth: 2, width: 16, heads: 2}
recipes: {pretrain: {epochs: 1, warmup_epochs: 0, batch: 50}}
runs:
  static: {method: static, dataset: shapes, network: spikformer, recipe: pretrain, seeds: [0, 1]}
  spikingformer: {method: static, dataset: shapes, network: spikingformer, recipe: pretrain, seeds: [0]}
  vit: {method: static, dataset: shapes, network: vit, recipe: pretrain, seeds: [0]}
  a_vit: {method: a_vit, parent: vit, recipe: pretrain}
  at_snn: {method: at_snn, options: {gamma: 5}, parent: static, recipe: pretrain}
  merge_only: {method: merge_only, options: {gamma: 5}, parent: static, recipe: pretrain}
  halt_only: {method: halt_only, parent: static, recipe: pretrain}
  static_control: {method: static_control, parent: static, recipe: pretrain}
  tet: {method: tet, parent: static, recipe: pretrain}
  dt_snn: {method: dt_snn, parent: static, recipe: pretrain}
evaluations:
  static: {run: static}
  at_snn: {run: at_snn, exits: [at_snn_e]}
  masking: {run: static, probe: masking}
  halting_onset: {run: static, probe: halting_onset}
  gamma_epsilon: {run: at_snn, probe: gamma_epsilon}
  block_similarity: {run: static, probe: block_similarity}
  accuracy_by_block_and_timestep: {run: static, probe: accuracy_by_block_and_timestep}
table1: [{evaluation: static}]
figures: {masking: {evaluations: [masking]}}
"""
CONTENT = yaml.safe_load(GOOD)
JARGON = (
    "valid tuple|input should|mapping|\\bstr\\b|string|nonetype|field required|\\bdict|valid integer|valid number|\\bint\\b|\\bfloat\\b|"
    "\\bbool|literal|pydantic|validation|traceback|constructor|scanner|constraint|\\btuple\\b|schema|regex"
)
# What is written for a field. All but the numbers are no numbers, however YAML 1.1 or Python take them.
TEXTS = [
    "abc",
    "'4'",
    "''",
    "' '",
    "yes",
    "on",
    "'yes'",
    "1:30",
    "010",
    "2024-01-01",
    "../x",
    ".hidden",
    "-n",
    '"a\\nb"',
    "x" * 5000,
]
NUMBERS = ["0", "-3", "7", "0.5", "1e-3", "4.0", "1_000", "1e400", ".nan", ".inf", "-.inf", "1" * 400]
OTHERS = ["true", "null", "[]", "{}", "[[1]]", "{a: {b: 1}}", "{'': 1}", "{nobody: 1}"]
VALUES = TEXTS + NUMBERS + OTHERS


def fields():
    """List the place of every field that a declaration can have, by its keys; the models say which there are."""
    yield from ((name,) for name in Experiment.model_fields)
    sections = {
        ("datasets", "shapes"): declaration.Dataset,
        ("recipes", "pretrain"): declaration.Recipe,
        ("runs", "static"): declaration.Run,
        ("evaluations", "static"): declaration.Evaluation,
        ("table1", 0): declaration.Row,
        ("figures", "masking"): declaration.Figure,
    }
    for place, model in sections.items():
        yield from ((*place, name) for name in model.model_fields)
    for backbone in CATALOGUE.backbones.names:
        yield from (("networks", backbone, name) for name in ("backbone", *CATALOGUE.backbones[backbone].Settings.model_fields))
    for method in CATALOGUE.methods.names:
        if hasattr(CATALOGUE.methods[method], "loss"):
            yield from (("runs", method, "options", name) for name in CATALOGUE.methods[method].Options.model_fields)
    for figure in CATALOGUE.figures.names:
        if hasattr(CATALOGUE.figures[figure], "measure"):
            yield from (("evaluations", figure, "settings", name) for name in CATALOGUE.figures[figure].Settings.model_fields)


def changed(place, value):
    """Give GOOD's content with a value in the place of one."""
    content = copy.deepcopy(CONTENT)
    below = content
    for key in place[:-1]:
        below = below.setdefault(key, {}) if isinstance(below, dict) else below[key]
    below[place[-1]] = value
    return content


def written(place, value):
    """Write GOOD with a value in the place of one."""
    return yaml.safe_dump(changed(place, "PLACE"), sort_keys=False, width=10**6).replace("PLACE", value)


def read(folder, text):
    (folder / "tiny.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_declaration.load("tiny", CATALOGUE, folder)


def refusal(folder, text):
    """Give the line that a text is refused with, checked for what every one must have; None where it is read."""
    try:
        read(folder, text)
    except UserError as error:
        assert "tiny.yaml" in str(error)
        return in_words(str(error))
    return None


def test_the_declaration_that_values_are_put_into_is_good(tmp_path):
    assert refusal(tmp_path, GOOD) is None and len(list(fields())) > 90


@pytest.mark.parametrize("place", list(fields()), ids=lambda place: ".".join(map(str, place)))
def test_a_value_is_read_as_it_stands_or_refused_in_words_that_name_the_key(place, read_values):
    lines = {value: refusal_of(place, read_values[value]) for value in VALUES}
    for value, line in lines.items():
        named = {str(place[-1]).removesuffix("s"), str(place[min(1, len(place) - 1)]), *re.findall(r"[a-z]\w+", value)}
        assert line is None or any(name in line for name in named), line
    if place[-1] != "about":  # no text is a number, a truth value, a list or keys
        assert all(lines[value] for value in TEXTS), {value for value in TEXTS if not lines[value]}
    if place[-1] != "show_images":
        assert lines["true"], "true is no number and no text"
    assert all(lines[value] for value in (".nan", ".inf", "-.inf", "1e400", "[[1]]", "{'': 1}", "{nobody: 1}"))


@pytest.fixture(scope="module")
def read_values(tmp_path_factory):
    """Give each of VALUES as it is read from a file."""
    path = tmp_path_factory.mktemp("values") / "values.yaml"
    path.write_text("\n".join(f"- {value}" for value in VALUES))
    return dict(zip(VALUES, read_yaml(path, path.name), strict=True))


def refusal_of(place, value):
    """Give the line that GOOD is refused with, with a value that was read in the place of one; None where it is not."""
    content = changed(place, value)
    try:
        check(read_declaration.validate(content, CATALOGUE), "tiny", CATALOGUE)
    except UserError as error:
        return in_words(str(error))
    return None


def in_words(line):
    """Check that a message is one line without jargon."""
    assert "\n" not in line and len(line) < 4000
    assert not re.search(JARGON, line.lower()) and "None" not in line, line
    return line


def test_a_number_is_told_how_it_is_written_where_it_stands_in_another_way(tmp_path):
    for value, remedy in (("'4'", "write 4"), ("010", "write 10"), ("4.0", "write 4"), ("4e0", "write 4"), ("' 4 '", "write 4")):
        assert f": {remedy}" in refusal(tmp_path, written(("recipes", "pretrain", "epochs"), value))
    assert refusal(tmp_path, written(("recipes", "pretrain", "lr"), "'0.5'")).endswith("but is '0.5': write 0.5")
    assert refusal(tmp_path, written(("show_images",), "yes")).endswith(
        "show_images must be true or false, but is 'yes': write true"
    )
    assert refusal(tmp_path, written(("show_images",), "1")).endswith("show_images must be true or false, but is 1")
    assert refusal(tmp_path, written(("precision",), "float23")).endswith("but is 'float23': did you mean 'float32'?")


def test_a_number_is_read_as_people_take_it(tmp_path):
    for value, number in (("1e-3", 0.001), ("1E+2", 100.0), ("2.0e-3", 0.002), (".5", 0.5), ("1_0.5", 10.5), ("3", 3.0)):
        assert read(tmp_path, written(("recipes", "pretrain", "lr"), value)).recipes["pretrain"].lr == number
    for value, number in (("1_000", 1000), ("+7", 7)):
        assert (
            read(tmp_path, written(("recipes", "pretrain", "mixup_off_epoch"), value)).recipes["pretrain"].mixup_off_epoch
            == number
        )


@pytest.mark.parametrize(
    "place, value, message",
    (
        (("runs", "static", "seeds"), "5", "runs.static.seeds must be a list of whole numbers, as in [0, 1, 2], but is 5"),
        (
            ("runs", "static", "seeds"),
            "[0, yes]",
            "runs.static.seeds.1 must be a whole number from 0 to 4,294,967,295, as in 0, but is 'yes'",
        ),
        (("runs", "static", "seeds"), "[-1]", "runs.static.seeds.0 must be a whole number from 0"),
        (
            ("runs", "static", "seeds"),
            "[0, true]",
            "runs.static.seeds.1 must be a whole number from 0 to 4,294,967,295, as in 0, but is true",
        ),
        (("runs", "static", "seeds"), "[]", "must be a list of whole numbers, 1 to 1000 of them, as in [0, 1, 2], but is []"),
        (("runs", "static", "seeds"), "[0, 1, 0]", "holds a seed twice"),
        (("threads",), "0", "threads must be a whole number from 1 to 1,024, as in 1, but is 0"),
        (("threads",), "100000", "threads must be a whole number from 1 to 1,024"),
        (("recipes", "pretrain", "batch"), "33", "recipes.pretrain.batch must be an even whole number from 2"),
        (
            ("recipes", "pretrain", "batch"),
            "102",
            "a batch of 102 is larger than the 100 training images: make recipes.pretrain.batch",
        ),
        (("recipes", "pretrain", "flip"), "1.5", "recipes.pretrain.flip must be a number from 0 to 1, as in 0.5, but is 1.5"),
        (("recipes", "pretrain", "warmup_epochs"), "2", "recipes.pretrain: warmup_epochs 2 is more than epochs 1"),
        (
            ("datasets", "cifar10", "train"),
            "49001",
            "datasets.cifar10.train is 49001, but CIFAR-10 has 49000 train images besides the 1,000",
        ),
        (
            ("datasets", "cifar10", "test"),
            "10001",
            "datasets.cifar10.test is 10001, but CIFAR-10 has 10000 test images: ask for fewer",
        ),
        (
            ("evaluations", "masking", "settings", "images"),
            "51",
            "evaluations.masking.settings.images is 51, but there are 50 test images",
        ),
        (("runs", "at_snn", "options", "gamma"), "33", "option gamma must be a whole number from 0 to 32"),
        (("runs", "merge_only", "options", "gamma"), "64", "as a block merges at most half of the 64 tokens"),
        (("evaluations", "at_snn", "options"), "{gamma: 33}", "evaluations.at_snn: method at_snn: option gamma must be"),
        (
            ("evaluations", "gamma_epsilon", "settings", "gammas"),
            "[0, 40]",
            "evaluations.gamma_epsilon.probe: method at_snn: option gamma",
        ),
        (
            ("runs", "halt_only", "options", "gamma"),
            "5",
            "runs.halt_only: method halt_only: option gamma must be 0, as nothing is merged, but is 5",
        ),
        (("runs", "at_snn", "options", "delta"), "-1", "option delta must be a number of at least 0, as in 0.001, but is -1"),
        (("runs", "at_snn", "options", "epsilon"), "1", "option epsilon must be a number of at least 0 and below 1, as in 0.01"),
        (("evaluations", "halting_onset", "settings", "betas"), "[.nan]", "setting betas.0 must be a number"),
        (
            ("evaluations", "at_snn", "timesteps"),
            "128",
            "128 timesteps of the 2 blocks of network 'spikformer' compute a token 256 times",
        ),
        (("about",), '"a\\ud800"', "a text holds half of a character"),
        (("about",), '"a\\0"', "about must be a text of at most 1,000 characters"),
        (("table1",), "[3]", "table1.0 must be keys with values, as in {evaluation: static}, but is 3"),
        (
            ("datasets", "shapes"),
            "",
            "datasets.shapes must be keys with values, as in {train: 10000, test: 5000}, but is empty (null)",
        ),
    ),
)
def test_what_can_not_fit_is_refused_when_it_is_read(tmp_path, place, value, message):
    line = refusal(tmp_path, written(place, value))
    assert line and message in line, line


def test_a_batch_fits_into_the_whole_of_a_set_whose_size_is_known(tmp_path):
    whole = GOOD.replace("dataset: shapes, network: vit", "dataset: cifar10, network: vit").replace("batch: 50", "batch: 49000")
    whole = whole.replace(
        "shapes: {train: 100, test: 50}", "shapes: {train: 60000, test: 50}"
    )  # drawn: more than its usual 10,000
    assert refusal(tmp_path, whole) is None
    line = refusal(tmp_path, whole.replace("batch: 49000", "batch: 49002"))
    assert "runs.vit: a batch of 49002 is larger than the 49000 training images" in line


def test_a_gamma_is_as_large_as_the_most_that_a_block_merges():
    from baselines.at_snn import MOST_MERGED
    from models.merging import merged_per_block

    assert merged_per_block(64, 10**6) == merged_per_block(64, MOST_MERGED) == MOST_MERGED > merged_per_block(64, MOST_MERGED - 1)


@pytest.mark.parametrize("key", ("'x/y'", "../x", "' '", "''", "-n", ".hidden", "X", "k" * 101, '"a\\nb"', "1a"))
def test_a_name_that_would_make_a_bad_path_is_refused(tmp_path, key):
    for section in ("datasets", "networks", "recipes", "runs", "evaluations", "figures"):
        line = refusal(
            tmp_path,
            GOOD.replace(f"{section}: {{", f"{section}: {{{key}: {{}}, ").replace(
                f"{section}:\n", f"{section}:\n  {key}: {{}}\n"
            ),
        )
        assert line and f"in {section} must be a name of at most 100 small letters, digits and _, a letter first" in line
    assert refusal(tmp_path, written(("scale",), key if key != "../x" else "'../x'"))
