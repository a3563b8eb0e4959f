"""A user's mistake is one line, exit code 2, and nothing is lost."""

import shutil

import pytest
from copied import TINY, call, one_line, run_id, snakemake


@pytest.mark.parametrize(
    "config, message",
    (
        ({"scale": "smok"}, "scale 'smok' has no declaration smok.yaml .* did you mean 'smoke'"),
        ({"sclae": "paper"}, "unknown --config key 'sclae': did you mean 'scale'"),
        ({"scale": "laptop", "data": "/nowhere"}, "data folder /nowhere does not exist"),
        ({"scale": "laptop", "data": "3"}, "data is 3, a number: name a folder"),
        ({"scale": "laptop", "data": ""}, "data is empty: name a folder"),
        ({"scale": "laptop", "data": "/etc/passwd"}, "data folder /etc/passwd is a file: name the folder in which it lies, /etc"),
    ),
)
def test_a_wrong_config_is_one_line_and_exit_code_2(tree, config, message):
    run = call(tree, "snakemake", "--cores", "2", "-n", "--config", *(f"{k}={v}" for k, v in config.items()))
    one_line(run, "Snakefile", message)


@pytest.mark.parametrize(
    "old, new, message",
    (
        ("lr: 2.0e-3", "learning_rate: 2.0e-3", r"tiny.yaml: unknown key recipes.short.learning_rate: "),
        ("parent: static", "parent: statik", "runs.at_snn.parent: 'statik' is not declared: did you mean 'static'"),
        ("seeds: [0, 1]", "seeds: 2", r"runs.static.seeds must be a list of whole numbers, as in \[0, 1, 2\], but is 2"),
        ("gamma: 5", "gamma: 33", "runs.at_snn: method at_snn: option gamma must be a whole number from 0 to 32"),
        ("batch: 16", "batch: 130", "a batch of 130 is larger than the 128 training images"),
        ("batch: 16", "batch: yes", "recipes.short.batch must be an even whole number .* but is 'yes'"),
        ("batch: 16", "batch: 16, batch: 8", "tiny.yaml, line 6: key 'recipes.short.batch' is repeated"),
        ("dataset: shapes, network", "parent: at_snn, dataset: shapes, network", "a cycle, static <- at_snn <- static"),
    ),
)
def test_a_wrong_declaration_is_one_line_and_exit_code_2(tree, old, new, message):
    path = tree / "workflow/experiments/tiny.yaml"
    path.write_text(TINY.replace(old, new))
    try:
        one_line(snakemake(tree, "-n"), "Snakefile", message)
        one_line(call(tree, "pipeline.train", "--scale", "tiny", "--run", "static-s0"), "pipeline.train", message)
    finally:
        path.write_text(TINY)


@pytest.mark.parametrize(
    "text, message",
    (
        ("scale: tiny\nscale: smoke\n", "params.yaml, line 2: key 'scale' is repeated, it stands in line 1 already"),
        ("", "params.yaml names no scale: write a line such as scale: smoke"),
        ("- smoke\n", "params.yaml names no scale"),
        ("scale: [smoke\n", "params.yaml is not valid YAML: line 2"),
    ),
)
def test_a_mistake_in_params_is_one_line_and_exit_code_2(tree, text, message):
    kept = (tree / "params.yaml").read_text()
    (tree / "params.yaml").write_text(text)
    try:
        one_line(call(tree, "snakemake", "--cores", "2", "-n"), "Snakefile", message)
    finally:
        (tree / "params.yaml").write_text(kept)


@pytest.mark.parametrize("value", ("", "3", "[tiny]", "yes"))
def test_a_scale_that_is_no_name_is_one_line(tree, value):
    run = call(tree, "snakemake", "--cores", "2", "-n", "--config", f"scale={value}")
    one_line(
        run, "Snakefile", "scale must be the name of a declaration, as in scale=smoke, but is|scale 'yes' has no declaration"
    )


def test_an_unknown_run_is_one_line(tree):
    known = run_id(tree, "static")
    one_line(call(tree, "pipeline.train", "--scale", "tiny", "--run", known[:-1]), "pipeline.train", f"did you mean '{known}'")
    one_line(
        call(tree, "pipeline.evaluate", "--scale", "tiny", "--set", "x"),
        "pipeline.evaluate",
        "evaluations 'x' are not in scale 'tiny'",
    )


def test_a_truncated_archive_is_one_line_and_leaves_nothing(tree, tmp_path):
    content = TINY.replace("scale: tiny", "scale: broken").replace("shapes: {train: 128, test: 60}", "cifar100: {}")
    (tree / "workflow/experiments/broken.yaml").write_text(content.replace("dataset: shapes", "dataset: cifar100"))
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(bytes.fromhex("1f8b0800") + b"0" * 500)
    run = call(tree, "pipeline.prepare", "--scale", "broken", "--data", str(tmp_path))
    one_line(run, "pipeline.prepare", "damaged or truncated, get it again")
    assert not list(tree.glob("data/prepared/*cifar*")) and not list(tree.glob("data/prepared/.*"))


def test_the_checkpoint_of_another_run_is_one_line_and_nothing_is_lost(tree):
    one, other = run_id(tree, "static"), run_id(tree, "at_snn")
    path = tree / "results/tiny/weights" / other / "checkpoint.pt"
    kept = path.read_bytes()
    shutil.copy(tree / "results/tiny/weights" / one / "checkpoint.pt", path)
    try:
        run = call(tree, "pipeline.train", "--scale", "tiny", "--run", other)
        one_line(run, "pipeline.train", f"belongs to run {one}, not to {other}: delete it")
        assert path.read_bytes() == (tree / "results/tiny/weights" / one / "checkpoint.pt").read_bytes()
    finally:
        path.write_bytes(kept)


def test_evaluating_a_run_that_is_not_trained_says_what_to_do(tree):
    (tree / "workflow/experiments/bare.yaml").write_text(TINY.replace("scale: tiny", "scale: bare"))
    run = call(tree, "pipeline.evaluate", "--scale", "bare", "--run", run_id(tree, "static", scale="bare"))
    one_line(run, "pipeline.evaluate", "is not trained yet: python -m pipeline.train --scale bare --run")
    one_line(call(tree, "pipeline.aggregate", "--scale", "bare"), "pipeline.aggregate", "is missing: run snakemake")
