"""Give each scale DVC stages and a lock file of its own, and run them.

results/<scale>/dvc.yaml has the stage `reproduce`, results/<scale>/speed/dvc.yaml the stage `bench`, whose output is the folder
results/<scale>/bench: DVC allows no stages inside an output. Each is written when it is first run, and then belongs to git with the dvc.lock that DVC writes beside it: DVC knows every campaign that was run and asks for
no other, and branches on which different scales were run have no file in common that differs. Scales may share prepared data
sets, so those are no stage's: each is tracked by itself, as data/prepared/<id>.dvc.
"""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.freshness import targets
from pipeline.campaign.read_declaration import EXPERIMENTS
from pipeline.campaign.read_yaml import read_yaml
from pipeline.core.atomic_files import replace
from pipeline.core.paths import ROOT

TARGETS = ("reproduce", "bench")
CODE = ["models", "baselines", "pipeline", "requirements.lock"]
GRAPH = ["Snakefile", *(f"workflow/{name}" for name in ("rules", "report", "run.sh", "start.py", "no_later_than_now.sh"))]
IN_CACHE = ("weights", "arrays")  # too large for git
METRICS = ("metrics.json",)
CURVES = {"held-out accuracy (%)": "heldout_accuracy", "training loss": "train_loss", "average tokens": "average_tokens"}
HEAD = "# Written by python -m pipeline.versioned from the declaration of this scale. It belongs to git, and dvc.lock beside it too.\n"


def reproduce(campaign: Campaign, target: str) -> int:
    """Prepare and track a campaign's data, write the stages of its target and run them. Returns the exit code."""
    dvc = [sys.executable, "-m", "dvc"]
    if target == "reproduce":
        for step in (shlex.split(graph_command(campaign, "data")), [*dvc, "add", *data_folders(campaign)]):
            if code := run_to_its_end(step):
                return code
    file = write_stages(campaign, target)
    code = run_to_its_end([*dvc, "repro", str(file)])
    if code and not file.with_suffix(".lock").exists():
        file.unlink()  # nothing came out yet: dvc pull would ask for it
    elif target == "bench":
        write_stages(campaign, target)  # its metrics are those of the kinds measured by now
    return code


def run_to_its_end(command: list[str]) -> int:
    """Run a command and return its exit code. Ctrl-C, which it gets too, doesn't end this process before it has saved its work."""
    with subprocess.Popen(command) as process:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, handler)


def write_stages(campaign: Campaign, target: str) -> Path:
    """Write the dvc.yaml of a campaign's target where it isn't as it should be; return its path."""
    folder, content = {
        "reproduce": (campaign.folder, reproduce_stages(campaign)),
        "bench": (campaign.folder / "speed", bench_stages(campaign)),
    }[target]
    text = HEAD + yaml.safe_dump(content, sort_keys=False, width=130)
    file = folder / "dvc.yaml"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        folder.mkdir(parents=True, exist_ok=True)
        replace(file, text)
    return file


def reproduce_stages(campaign: Campaign) -> dict:
    """Describe the stage that makes all targets of a campaign, and the plots of what it makes."""
    inputs = [*data_folders(campaign), *declarations(campaign.experiment.scale), *GRAPH]
    outputs = [str(campaign.folder / name) for name in output_names(campaign)]
    run_curves = {"template": "workflow/plots/run_curves.json", "x": "epoch"}
    curves = [{title: {**run_curves, "y": {"tables/curves.csv": column}, "y_label": title}} for title, column in CURVES.items()]
    figures = [f"figures/{name}.svg" for name in campaign.experiment.figures]
    stages = {"reproduce": stage(graph_command(campaign, "all"), inputs, outputs, wdir="../..")}
    return {"stages": stages, "plots": [*curves, *figures]}


def bench_stages(campaign: Campaign) -> dict:
    """Describe the stage that measures the speed of the methods, in a folder for each kind of processor, and their metrics."""
    inputs = [*declarations(campaign.experiment.scale), "workflow/rules", "workflow/run.sh", "tests/benchmarks"]
    command = graph_command(campaign, "bench")
    ratios = [f"../{path.relative_to(campaign.folder)}" for path in sorted(campaign.folder.glob("bench/*/ratios.json"))]
    return {"stages": {"bench": stage(command, inputs, [str(campaign.folder / "bench")], wdir="../../..")}, "metrics": ratios}


def graph_command(campaign: Campaign, target: str) -> str:
    """Ask Snakemake for a target of this scale, whatever scale params.yaml names."""
    return f"workflow/run.sh {target} --config scale={campaign.experiment.scale}"


def stage(command: str, inputs: list[str], outputs: list[str], wdir: str) -> dict:
    """Describe a stage from its inputs and outputs. DVC deletes no output before it runs; small outputs stay in git."""
    content: dict = {"wdir": wdir, "cmd": command, "deps": [*inputs, *CODE], "outs": [], "metrics": []}
    for path in outputs:
        name = Path(path).name
        content["metrics" if name in METRICS else "outs"].append(
            {path: {"persist": True} if name in IN_CACHE else {"persist": True, "cache": False}}
        )
    return content


def output_names(campaign: Campaign) -> list[str]:
    """List what the targets are in a campaign's folder: its tables one by one, since one is a metric, else files and folders.

    Arrays that DVC tracked before stay among them, where they are missing too: dvc pull or dvc checkout brings them back.
    """
    locked = campaign.folder / "dvc.lock"
    was_tracked = locked.exists() and f"{campaign.folder}/arrays" in locked.read_text(encoding="utf-8")
    paths = [Path(path) for path in (campaign.targets() if was_tracked else targets(campaign))]
    parts = [path.relative_to(campaign.folder).parts for path in paths if path.is_relative_to(campaign.folder)]
    return list(dict.fromkeys("/".join(part if part[0] == "tables" else part[:1]) for part in parts))


def data_folders(campaign: Campaign) -> list[str]:
    """List the folders of a campaign's prepared data sets."""
    return [os.path.dirname(path) for path in campaign.prepared()]


def declarations(scale: str) -> list[str]:
    """List the files that declare a scale: its own, and that of each scale it extends."""
    path = EXPERIMENTS / f"{scale}.yaml"
    base = read_yaml(path, path.name).get("extends")
    return [str(path.relative_to(ROOT)), *(declarations(base) if base else [])]
