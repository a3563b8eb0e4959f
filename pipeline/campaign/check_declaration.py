"""Check that the parts of a declaration fit each other; the first that does not is named with what to do."""
# Tested in tests/pipeline/campaign/test_read_declaration.py

from typing import Any

from pipeline.campaign.declaration import Evaluation, Experiment, Figure, Row, Run, inherited, timesteps_of, trained_timesteps
from pipeline.core.catalogue import Catalogue
from pipeline.core.errors import UserError, nearest
from pipeline.data.sources import HELD_OUT

MOST_COUNTED = 255  # computations of a token, in the arrays of an evaluation (pipeline.evaluation.measure)


def check(experiment: Experiment, scale: str, catalogue: Catalogue) -> None:
    """Check that every name exists, chains of parents end and children fit parents. Raises UserError for the first fault."""
    if experiment.scale != scale:
        raise UserError(f"scale is {experiment.scale!r}, the file's name says {scale!r}: make them equal")
    for name in experiment.datasets:
        check_counts(experiment, name, catalogue)
    for name, recipe in experiment.recipes.items():
        if recipe.warmup_epochs > recipe.epochs:
            raise UserError(
                f"recipes.{name}: warmup_epochs {recipe.warmup_epochs} is more than epochs {recipe.epochs}, of which it is part"
            )
    for label in experiment.runs:
        check_run(experiment, label, catalogue)
    for name, evaluation in experiment.evaluations.items():
        check_evaluation(experiment, evaluation, f"evaluations.{name}", catalogue)
    earlier_rows = set()
    for index, row in enumerate(experiment.table1):
        check_row(experiment, row, f"table1.{index}")
        row_key = (row.evaluation, row.exit or row.timesteps or timesteps_of(experiment, experiment.evaluations[row.evaluation]))
        if row_key in earlier_rows:
            raise UserError(f"table1.{index}: {row.evaluation} at {row_key[1]} stands in an earlier row too: take one out")
        earlier_rows.add(row_key)
    for name, figure in experiment.figures.items():
        check_figure(experiment, name, figure, catalogue)


def check_counts(experiment: Experiment, name: str, catalogue: Catalogue) -> None:
    """Check that a data set has as many images as are asked for; one that is drawn has any number."""
    dataset, declared = catalogue.datasets[name], experiment.datasets[name]
    if getattr(dataset, "DRAWN", False):
        return
    for split, besides in (("train", f" besides the {HELD_OUT:,} held out"), ("test", "")):
        count, most = getattr(declared, split), all_images(name, split, catalogue)
        if count and most and count > most:
            raise UserError(
                f"datasets.{name}.{split} is {count}, but {dataset.TITLE} has {most} {split} images{besides}: "
                f"ask for fewer, or leave it out for all"
            )


def all_images(name: str, split: str, catalogue: Catalogue) -> int | None:
    """Give the number of images of a whole data set in `train` or `test`; None where it is not known before the set is read."""
    counts = getattr(catalogue.datasets[name], "COUNTS", None)
    return counts and counts[("train", "test").index(split)]


def used_images(experiment: Experiment, label: str, split: str, catalogue: Catalogue) -> int | None:
    """Give the number of images that a run uses of `train` or `test`: as declared, else all, which may not be known."""
    name = inherited(experiment, label, "dataset")
    return getattr(experiment.datasets[name], split) or all_images(name, split, catalogue)


def check_run(experiment: Experiment, label: str, catalogue: Catalogue) -> None:
    """Check a run's names and options, its ancestors, seeds, network and batch size, and that it fits its parent."""
    run = experiment.runs[label]
    require_declared(run.recipe, experiment.recipes, f"runs.{label}.recipe")
    check_options(run.method, run.options, f"runs.{label}", catalogue)
    ancestry = [label]
    while (parent := experiment.runs[ancestry[-1]].parent) is not None:
        require_declared(parent, experiment.runs, f"runs.{ancestry[-1]}.parent")
        if parent in ancestry:
            raise UserError(
                f"runs.{label}.parent: a cycle, {' <- '.join([*ancestry, parent])}: one of them must start without a parent"
            )
        ancestry.append(parent)
    for key in ("dataset", "network", "seeds"):
        if inherited(experiment, label, key) is None:
            raise UserError(f"runs.{label}.{key} is missing: a run without a parent must say it")
    seeds = inherited(experiment, label, "seeds")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"runs.{label}.seeds: {list(seeds)} holds a seed twice: each is one run")
    require_declared(inherited(experiment, label, "dataset"), experiment.datasets, f"runs.{label}.dataset")
    require_declared(inherited(experiment, label, "network"), experiment.networks, f"runs.{label}.network")
    check_backbone(experiment, label, trained_timesteps(experiment, label), f"runs.{label}", catalogue)
    train, batch = used_images(experiment, label, "train", catalogue), experiment.recipes[run.recipe].batch
    if train and train < batch:
        raise UserError(
            f"runs.{label}: a batch of {batch} is larger than the {train} training images: make recipes.{run.recipe}.batch smaller"
        )
    check_start(label, run.method, experiment.runs[run.parent].method if run.parent else None, catalogue)
    if run.parent:
        check_child(experiment, label, run.parent)


def check_backbone(experiment: Experiment, label: str, timesteps: int, where: str, catalogue: Catalogue) -> None:
    """Check that a run's method and timesteps are possible on its network."""
    name = inherited(experiment, label, "network")
    network, method_name = experiment.networks[name], experiment.runs[label].method
    method = catalogue.methods[method_name]
    allowed = getattr(method, "BACKBONES", catalogue.backbones.names)
    if network.backbone not in allowed:
        raise UserError(f"{where}: {method_name} is for {' or '.join(allowed)}, network {name!r} is a {network.backbone}")
    if getattr(method, "ADAPTS_TOKENS", False) and not catalogue.backbones[network.backbone].TOKENS:
        title = catalogue.backbones[network.backbone].TITLE
        raise UserError(f"{where}: {method_name} adapts tokens, and network {name!r}, a {title}, has none: name another network")
    try:
        catalogue.network_settings(network.backbone, network.settings | {"timesteps": timesteps})
    except UserError as error:
        raise UserError(f"{where}: network {name!r}: {error}") from error
    depth = network.settings.get("depth", 1)
    if getattr(method, "ADAPTS_TOKENS", False) and depth * timesteps > MOST_COUNTED:
        raise UserError(
            f"{where}: {timesteps} timesteps of the {depth} blocks of network {name!r} compute a token {depth * timesteps} times, "
            f"and no more than {MOST_COUNTED} are counted: use fewer timesteps or blocks"
        )


def check_start(label: str, name: str, parent: str | None, catalogue: Catalogue) -> None:
    """Check that a method trains, and can start from the weights of its parent's method."""
    method = catalogue.methods[name]
    allowed = method.PARENTS
    if not hasattr(method, "loss"):
        raise UserError(f"runs.{label}.method: {name} trains nothing: name it among the exits of an evaluation")
    if parent not in allowed:
        parents = " or ".join("no parent" if start is None else f"a run of {start}" for start in allowed)
        raise UserError(
            f"runs.{label}.parent: {name} starts from {parents}, not from {f'a run of {parent}' if parent else 'nothing'}"
        )


def check_child(experiment: Experiment, label: str, parent: str) -> None:
    """Check that a run has the data set and network of its parent, and no seed that its parent lacks."""
    for key in ("dataset", "network"):
        child_value, parent_value = inherited(experiment, label, key), inherited(experiment, parent, key)
        if child_value != parent_value:
            raise UserError(
                f"runs.{label}.{key} is {child_value!r}, its parent {parent!r} has {parent_value!r}: "
                f"weights carry over only to the same one"
            )
    orphan_seeds = set(inherited(experiment, label, "seeds")) - set(inherited(experiment, parent, "seeds"))
    if orphan_seeds:
        raise UserError(
            f"runs.{label}.seeds: {sorted(orphan_seeds)} not among the seeds of its parent {parent!r}: "
            f"each seed starts from the parent of that seed"
        )


def check_evaluation(experiment: Experiment, evaluation: Evaluation, where: str, catalogue: Catalogue) -> None:
    """Check an evaluation's run, options, timesteps, probe and exits."""
    require_declared(evaluation.run, experiment.runs, f"{where}.run")
    run = experiment.runs[evaluation.run]
    check_options(run.method, run.options | evaluation.options, where, catalogue)
    check_backbone(experiment, evaluation.run, timesteps_of(experiment, evaluation), where, catalogue)
    if evaluation.probe:
        try:
            catalogue.probe_settings(evaluation.probe, evaluation.settings)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        check_changes(run, evaluation, f"{where}.probe", catalogue)
        check_tokens(experiment, evaluation, f"{where}.probe", catalogue)
        test, images = used_images(experiment, evaluation.run, "test", catalogue), evaluation.settings.get("images")
        if test and images and images > test:
            raise UserError(
                f"{where}.settings.images is {images}, but there are {test} test images: ask for fewer, or leave it out for all"
            )
        if evaluation.exits:
            raise UserError(f"{where}.exits: a probe has none: take them out")
    elif evaluation.settings:
        raise UserError(f"{where}.settings: they are a probe's: name one, or take them out")
    if len(set(evaluation.exits)) < len(evaluation.exits):
        raise UserError(f"{where}.exits: {list(evaluation.exits)} holds one twice")
    for name in evaluation.exits:
        exit_method = catalogue.methods[name]
        if not hasattr(exit_method, "confidence"):
            raise UserError(f"{where}.exits: method {name} has no exit, it runs every timestep: take it out")
        methods = (name,) if hasattr(exit_method, "loss") else exit_method.PARENTS
        if run.method not in methods:
            raise UserError(
                f"{where}.exits: {name} reads networks of {' or '.join(methods)}, run {evaluation.run} is of {run.method}"
            )


def check_changes(run: Run, evaluation: Evaluation, where: str, catalogue: Catalogue) -> None:
    """Check the other options that a probe runs the network with against those of its method."""
    changes = getattr(catalogue.figures[evaluation.probe], "changes", lambda _: [])
    for change in changes(catalogue.probe_settings(evaluation.probe, evaluation.settings)):
        check_options(run.method, run.options | evaluation.options | change, where, catalogue)


def check_tokens(experiment: Experiment, evaluation: Evaluation, where: str, catalogue: Catalogue) -> None:
    """Check that a probe that measures tokens is given a network that has some."""
    name = inherited(experiment, evaluation.run, "network")
    backbone = catalogue.backbones[experiment.networks[name].backbone]
    if getattr(catalogue.figures[evaluation.probe], "NEEDS_TOKENS", False) and not backbone.TOKENS:
        raise UserError(
            f"{where}: {evaluation.probe} measures tokens, and network {name!r}, a {backbone.TITLE}, has none: name another run"
        )


def check_row(experiment: Experiment, row: Row, where: str) -> None:
    """Check that a row of Table 1 names a pass over the test set, with an exit or timesteps of it."""
    require_declared(row.evaluation, experiment.evaluations, f"{where}.evaluation")
    if experiment.evaluations[row.evaluation].probe:
        raise UserError(f"{where}.evaluation: {row.evaluation!r} is a probe, not a pass over the test set: name another")
    exits = experiment.evaluations[row.evaluation].exits
    if row.exit and row.exit not in exits:
        raise UserError(f"{where}.exit: {row.exit!r} is not among evaluations.{row.evaluation}.exits: {nearest(row.exit, exits)}")
    if row.exit and row.timesteps:
        raise UserError(f"{where}: an exit chooses the timesteps of each image: give exit or timesteps, not both")
    longest = timesteps_of(experiment, experiment.evaluations[row.evaluation])
    if row.timesteps and row.timesteps > longest:
        raise UserError(
            f"{where}.timesteps is {row.timesteps}, but evaluation {row.evaluation!r} runs {longest}: raise evaluations.{row.evaluation}.timesteps"
        )


def check_figure(experiment: Experiment, name: str, figure: Figure, catalogue: Catalogue) -> None:
    """Check that a figure names evaluations that it can show, each once, and in a number that it can show."""
    for evaluation in figure.evaluations:
        require_declared(evaluation, experiment.evaluations, f"figures.{name}.evaluations")
    if len(set(figure.evaluations)) < len(figure.evaluations):
        raise UserError(f"figures.{name}.evaluations: {list(figure.evaluations)} holds one twice")
    module = catalogue.figures[name]
    probe = name if hasattr(module, "measure") else None
    for evaluation in figure.evaluations:
        if experiment.evaluations[evaluation].probe != probe:
            allowed = f"those whose probe it is (probe: {name})" if probe else "passes over the test set, and no probes"
            raise UserError(f"figures.{name}.evaluations: {evaluation!r} is none of what it shows, {allowed}: name others")
    most = module.MOST_EVALUATIONS
    if most is not None and len(figure.evaluations) > most:
        raise UserError(f"figures.{name}.evaluations: {list(figure.evaluations)}, but it shows {most} at most: take some out")
    if most != 0 and not figure.evaluations:
        raise UserError(f"figures.{name}.evaluations: none is named: name what it shows")


def require_declared(name: str, section: dict, where: str) -> None:
    """Raise UserError if a section lacks a name."""
    if name not in section:
        raise UserError(f"{where}: {name!r} is not declared: {nearest(name, section)}")


def check_options(name: str, options: dict[str, Any], where: str, catalogue: Catalogue) -> None:
    """Raise UserError if a method lacks one of the options, or refuses its value."""
    try:
        catalogue.method_options(name, options)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
