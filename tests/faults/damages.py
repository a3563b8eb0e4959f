"""Scenarios of damaged files: the graph finds each, and what it says is done, and nothing else."""

import re
import shutil
from pathlib import Path

from scenario import NotAsItMust, errors, must, scenario
from tiny import Campaign

DAMAGES = {  # by what is damaged: where it is, how, and what is forgotten so that it is read again
    "prepared images": ("data/prepared/*/train*", "flipped", "run"),
    "prepared images, cut": ("data/prepared/*/test_images.npy", "cut", "run"),
    "masks of prepared images": ("data/prepared/*/test_masks.npy", "flipped", "products"),
    "the parent's weights": ("results/tiny/weights/static-s0-*/final.safetensors", "flipped", "run"),
    "both checkpoints": ("results/tiny/weights/at_snn-s1-*/checkpoint.pt*", "flipped", "end"),
    "the weights that are evaluated": ("results/tiny/weights/at_snn-s1-*/final.safetensors", "flipped", "evaluation"),
    "a digit of a record": ("results/tiny/runs/at_snn-s1-*/record.jsonl", "number", "products"),
    "a record, flipped": ("results/tiny/runs/at_snn-s0-*/record.jsonl", "flipped", "products"),
    "a record, cut": ("results/tiny/runs/static-s1-*/record.jsonl", "cut", "products"),
    "a digit of an evaluation": ("results/tiny/evals/static-s1-*.json", "number", "products"),
    "an evaluation, cut": ("results/tiny/evals/static-s1-*.json", "cut", "products"),
    "the end of a run, cut": ("results/tiny/runs/static-s0-*/done.json", "cut", "products"),
    "arrays": ("results/tiny/arrays/at_snn-s0-*.npz", "cut", "products"),
}


def damaged(campaign: Campaign, what: str) -> str:
    """Damages files, lets the graph find it, and does what it says until it is done."""
    pattern, how, forgotten = DAMAGES[what]
    found = sorted(campaign.folder.glob(pattern))
    must(bool(found), f"there is no {pattern}")
    for path in found:
        spoil(path, how)
    if forgotten == "run":
        campaign.forget_run("at_snn")
    campaign.forget_products()
    run = campaign.run_id("at_snn", 1)
    if forgotten in ("evaluation", "end"):
        for path in campaign.results.glob(f"evals/{run}-*"):
            path.unlink()
    if forgotten == "end":
        shutil.rmtree(campaign.results / "runs" / run)
    said = []
    for _ in range(8):
        code, told = campaign.run()
        lines = [line for line in [*errors(told), *not_drawn(campaign)] if "delete" in line]
        if code == 0 and not lines:
            must(any(path.parent.name in line or path.name in line for line in said for path in found), f"not found: {said}")
            return "; ".join(dict.fromkeys(said))
        must(bool(lines), told)
        said += lines
        follow(campaign, lines)
    raise NotAsItMust(f"what it says does not mend it: {said}")


def spoil(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    if how == "cut":
        content = content[:place]
    elif how == "flipped":
        content[place] ^= 4
    else:  # a digit of the last accuracy, so that it reads well
        place = [found.start(1) for found in re.finditer(rb'accuracy": (\d)', content)][-1]
        content[place] = ord("1") if content[place] != ord("1") else ord("2")
    path.write_bytes(content)


def not_drawn(campaign: Campaign) -> list[str]:
    """What figures say that they lack."""
    return [
        found for path in campaign.results.glob("figures/*.json") for found in re.findall(r'"missing": "(.*)"', path.read_text())
    ]


def follow(campaign: Campaign, lines: list[str]) -> None:
    """Deletes what lines say is to be deleted: the path after the word, or those that they name."""
    for line in lines:
        after = line.partition("delete ")[2].split()[0].rstrip(",:;")
        words = [after] if (campaign.folder / after).exists() else [word.strip("(),:;") for word in line.split()]
        for path in {campaign.folder / word for word in words if "/" in word and (campaign.folder / word).exists()}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


for what in DAMAGES:
    scenario(f"damaged: {what}")(lambda campaign, what=what: damaged(campaign, what))
