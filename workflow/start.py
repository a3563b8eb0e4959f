"""Get ready for a Snakemake, however it was asked for: plain `snakemake`, make, DVC or a site's profile. The Snakefile calls `start`.

One Snakemake runs here at a time, published weights are in place before it plans, and options that would make finished runs
again are refused. What Snakemake takes by itself stands in profiles/default.
"""
# Tested in tests/workflow/test_plain_snakemake.py

import fcntl
import os
import shutil
import sys
from argparse import Namespace
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from snakemake.cli import get_argument_parser, parse_args

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.published_weights import restore_all
from pipeline.campaign.read_params import read_params
from pipeline.core.errors import UserError, nearest, told_in_one_line
from pipeline.core.openmp import check_threads
from pipeline.core.paths import RESULTS, ROOT
from pipeline.evaluation.gpu_locks import jobs_at_once

LOCK = Path(".snakemake/run.lock")  # held as long as the process that has it
SNAKEMAKES_LOCKS = Path(".snakemake/locks")  # stay behind where a Snakemake is killed
PROFILES = Path("profiles")
EXPORTED = "SNAKEMAKE_PROFILE"
LOOKS = (  # options with which Snakemake runs no job: they wait for nobody
    "dryrun unlock lint list_target_rules list_rules print_compilation dag rulegraph filegraph d3dag summary detailed_summary "
    "list_changes list_untracked report"
).split()


def check_place() -> None:
    """Print that Snakemake works in another folder than the project's, or what is wrong in params.yaml, and exit with code 2."""
    with told_in_one_line("Snakefile"):
        if Path.cwd().resolve() != ROOT:
            raise UserError(f"Snakemake works in {Path.cwd()}: start it in {ROOT}, without --directory")
        read_params()


def start(workflow, campaign: Campaign) -> None:
    """Make this Snakemake the only one here, with published weights in place; print a mistake as one line and exit with code 2.

    `workflow` is Snakemake's object of that name. A process that Snakemake starts for a job has nothing to get ready.
    """
    if not workflow.is_main_process:
        return
    with told_in_one_line("Snakefile"):
        typed, settings = read_options()
        refuse_mistakes(typed, settings)
        is_local = settings.executor in (None, "local")
        if is_local and runs_jobs(settings):
            check_threads(campaign.experiment.threads)
        if take_lock(wait=runs_jobs(settings)):
            shutil.rmtree(SNAKEMAKES_LOCKS, ignore_errors=True)
        for line in (*restore_all(), *say_what_is_trained_again(campaign)):
            print(line, file=sys.stderr)
        if is_local and "gpu" not in settings.resources and (jobs := jobs_at_once()):
            workflow.register_resource("gpu", jobs)  # a GPU for each job


def read_options() -> tuple[Namespace, Namespace]:
    """Read Snakemake's options: those that were typed, and those that hold with profiles and environment."""
    typed = get_argument_parser().parse_args(sys.argv[1:], env_vars={})
    with redirect_stderr(StringIO()):  # it has said before which profiles it uses
        return typed, parse_args(sys.argv[1:])[1]


def runs_jobs(settings: Namespace) -> bool:
    """Tell whether Snakemake is asked to run jobs, and not just to show something."""
    return not any(getattr(settings, option, None) for option in LOOKS) or settings.report_after_run


def refuse_mistakes(typed: Namespace, settings: Namespace) -> None:
    """Raise UserError for a profile or triggers with which this Snakemake would do something else than was meant."""
    if settings.profile not in (None, ["none"]) and not typed.profile:
        raise UserError(
            f"{EXPORTED}={os.environ[EXPORTED]} is only exported: --profile {os.environ[EXPORTED]} (with make: "
            f"PROFILE={os.environ[EXPORTED]}) runs the jobs where that profile says, unset {EXPORTED} runs them here"
        )
    profile = typed.workflow_profile
    if profile not in (None, "none") and not (Path(profile).exists() or (PROFILES / profile).exists()):
        raise UserError(f"there is no profile {profile}: {nearest(profile, [path.name for path in PROFILES.iterdir()])}")
    if triggers := sorted(str(trigger) for trigger in settings.rerun_triggers if str(trigger) != "mtime"):
        raise UserError(
            f"with the rerun triggers {', '.join(triggers)} finished trainings would be made again, and their records deleted: "
            "give --rerun-triggers mtime, or copy the lines of profiles/default/config.yaml into your profile"
        )
    if runs_jobs(settings) and (locked := [str(path) for path in written_folders() if not os.access(path, os.W_OK)]):
        raise UserError(f"{locked[0]} can't be written: change its permissions, or mount it for writing")


def say_what_is_trained_again(campaign: Campaign) -> list[str]:
    """Say how many finished runs have lost their weights: Snakemake deletes their records and trains them again."""
    lost = [
        run
        for run in campaign.runs
        if (campaign.run_folder(run) / "done.json").exists() and not campaign.weights_file(run).exists()
    ]
    scale, again = campaign.experiment.scale, "and are trained again: where they were pushed, Ctrl-C and dvc pull bring them back"
    return [f"Snakefile: {len(lost)} finished runs of scale {scale} lack their weights, {again}"] if lost else []


def written_folders() -> list[Path]:
    """List the folders that are here and that jobs write into."""
    tops = [path for path in (RESULTS, Path("data")) if path.is_dir()]
    return [path for top in tops for path in (top, *top.glob("*/"), *top.glob("*/*/")) if path.is_dir()]


def take_lock(wait: bool) -> bool:
    """Take the lock of this folder for as long as this process lasts; one that doesn't `wait` gives it back at once.

    Returns whether no other Snakemake runs here.
    """
    LOCK.parent.mkdir(exist_ok=True)
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            os.close(file)
            return False
        print("Snakefile: another Snakemake runs here: waits for it to end", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    if not wait:
        os.close(file)
    return True
