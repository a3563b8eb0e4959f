"""The parts of a declaration fit each other; the first that does not is named with what to do."""

from typing import Any

from pipeline.campaign.declaration import Evaluation, Experiment, Figure, Row, Run, inherited, timesteps_of, trained_timesteps
from pipeline.core.catalogue import Catalogue
from pipeline.core.errors import UserError, nearest


def check(experiment: Experiment, scale: str, catalogue: Catalogue) -> None:
    """What holds between the parts: every name exists, parents come to an end, children fit their parents."""
    if experiment.scale != scale:
        raise UserError(f"scale is {experiment.scale!r}, the file's name says {scale!r}: make them equal")
    for name in experiment.datasets:
        catalogue.datasets[name]
    for name, recipe in experiment.recipes.items():
        if recipe.warmup_epochs > recipe.epochs:
            raise UserError(
                f"recipes.{name}: warmup_epochs {recipe.warmup_epochs} is more than epochs {recipe.epochs}, of which it is part"
            )
    for label in experiment.runs:
        check_run(experiment, label, catalogue)
    for name, evaluation in experiment.evaluations.items():
        check_evaluation(experiment, evaluation, f"evaluations.{name}", catalogue)
    shown = set()
    for index, row in enumerate(experiment.table1):
        check_row(experiment, row, f"table1.{index}")
        reading = (row.evaluation, row.exit or row.timesteps or timesteps_of(experiment, experiment.evaluations[row.evaluation]))
        if reading in shown:
            raise UserError(f"table1.{index}: {row.evaluation} at {reading[1]} stands in an earlier row too: take one out")
        shown.add(reading)
    for name, figure in experiment.figures.items():
        check_figure(experiment, name, figure, catalogue)


def check_run(experiment: Experiment, label: str, catalogue: Catalogue) -> None:
    run = experiment.runs[label]
    known(run.recipe, experiment.recipes, f"runs.{label}.recipe")
    checked_options(run.method, run.options, f"runs.{label}", catalogue)
    ancestry = [label]
    while (parent := experiment.runs[ancestry[-1]].parent) is not None:
        known(parent, experiment.runs, f"runs.{ancestry[-1]}.parent")
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
    known(inherited(experiment, label, "dataset"), experiment.datasets, f"runs.{label}.dataset")
    known(inherited(experiment, label, "network"), experiment.networks, f"runs.{label}.network")
    check_backbone(experiment, label, trained_timesteps(experiment, label), f"runs.{label}", catalogue)
    train, batch = experiment.datasets[inherited(experiment, label, "dataset")].train, experiment.recipes[run.recipe].batch
    if train and train < batch:
        raise UserError(f"runs.{label}: a batch of {batch} is larger than the {train} training images: use a smaller one")
    check_start(label, run.method, experiment.runs[run.parent].method if run.parent else None, catalogue)
    if run.parent:
        check_child(experiment, label, run.parent)


def check_backbone(experiment: Experiment, label: str, timesteps: int, where: str, catalogue: Catalogue) -> None:
    """A run's method and timesteps are possible on its network."""
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


def check_start(label: str, name: str, parent: str | None, catalogue: Catalogue) -> None:
    """A method trains, from the weights of a method that it can start from."""
    method = catalogue.methods[name]
    allowed = method.PARENTS
    if not hasattr(method, "loss"):
        raise UserError(f"runs.{label}.method: {name} trains nothing: name it among the exits of an evaluation")
    if parent not in allowed:
        wanted = " or ".join("no parent" if start is None else f"a run of {start}" for start in allowed)
        raise UserError(
            f"runs.{label}.parent: {name} starts from {wanted}, not from {f'a run of {parent}' if parent else 'nothing'}"
        )


def check_child(experiment: Experiment, label: str, parent: str) -> None:
    for key in ("dataset", "network"):
        ours, theirs = inherited(experiment, label, key), inherited(experiment, parent, key)
        if ours != theirs:
            raise UserError(
                f"runs.{label}.{key} is {ours!r}, its parent {parent!r} has {theirs!r}: weights carry over only to the same one"
            )
    extra = set(inherited(experiment, label, "seeds")) - set(inherited(experiment, parent, "seeds"))
    if extra:
        raise UserError(
            f"runs.{label}.seeds: {sorted(extra)} not among the seeds of its parent {parent!r}: each seed starts from the parent of that seed"
        )


def check_evaluation(experiment: Experiment, evaluation: Evaluation, where: str, catalogue: Catalogue) -> None:
    known(evaluation.run, experiment.runs, f"{where}.run")
    run = experiment.runs[evaluation.run]
    checked_options(run.method, run.options | evaluation.options, where, catalogue)
    check_backbone(experiment, evaluation.run, timesteps_of(experiment, evaluation), where, catalogue)
    if evaluation.probe:
        try:
            catalogue.probe_settings(evaluation.probe, evaluation.settings)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        check_changes(run, evaluation, f"{where}.probe", catalogue)
        if evaluation.exits:
            raise UserError(f"{where}.exits: a probe has none: take them out")
    elif evaluation.settings:
        raise UserError(f"{where}.settings: they are a probe's: name one, or take them out")
    if len(set(evaluation.exits)) < len(evaluation.exits):
        raise UserError(f"{where}.exits: {list(evaluation.exits)} holds one twice")
    for name in evaluation.exits:
        way_out = catalogue.methods[name]
        if not hasattr(way_out, "confidence"):
            raise UserError(f"{where}.exits: method {name} has no exit, it runs every timestep: take it out")
        readable = (name,) if hasattr(way_out, "loss") else way_out.PARENTS
        if run.method not in readable:
            raise UserError(
                f"{where}.exits: {name} reads networks of {' or '.join(readable)}, run {evaluation.run} is of {run.method}"
            )


def check_changes(run: Run, evaluation: Evaluation, where: str, catalogue: Catalogue) -> None:
    """Other options that a probe runs the network with are options of its method."""
    changes = getattr(catalogue.figures[evaluation.probe], "changes", lambda _: [])
    for change in changes(catalogue.probe_settings(evaluation.probe, evaluation.settings)):
        checked_options(run.method, run.options | evaluation.options | change, where, catalogue)


def check_row(experiment: Experiment, row: Row, where: str) -> None:
    known(row.evaluation, experiment.evaluations, f"{where}.evaluation")
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
    for evaluation in figure.evaluations:
        known(evaluation, experiment.evaluations, f"figures.{name}.evaluations")
    if len(set(figure.evaluations)) < len(figure.evaluations):
        raise UserError(f"figures.{name}.evaluations: {list(figure.evaluations)} holds one twice")
    module = catalogue.figures[name]
    probe = name if hasattr(module, "measure") else None
    for evaluation in figure.evaluations:
        if experiment.evaluations[evaluation].probe != probe:
            wanted = f"those whose probe it is (probe: {name})" if probe else "passes over the test set, and no probes"
            raise UserError(f"figures.{name}.evaluations: {evaluation!r} is none of what it shows, {wanted}: name others")
    most = module.MOST_EVALUATIONS
    if most is not None and len(figure.evaluations) > most:
        raise UserError(f"figures.{name}.evaluations: {list(figure.evaluations)}, but it shows {most} at most: take some out")
    if most != 0 and not figure.evaluations:
        raise UserError(f"figures.{name}.evaluations: none is named: name what it shows")


def known(name: str, section: dict, where: str) -> None:
    if name not in section:
        raise UserError(f"{where}: {name!r} is not declared: {nearest(name, section)}")


def checked_options(name: str, options: dict[str, Any], where: str, catalogue: Catalogue) -> None:
    try:
        catalogue.method_options(name, options)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
