"""Write a plan as text, to be read before many trainings are begun."""
# Tested in tests/pipeline/planning/test_plan.py

from collections.abc import Callable, Iterable

UNITS = ("B", "kB", "MB", "GB", "TB")
STATES = ("under way", "failed", "not begun")


def hours(number: float | None) -> str:
    """Format hours with two decimals, one from 10 on, none from 100 on; ? where they are unknown."""
    if number is None:
        return "?"
    return "0" if not number else f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def text(plan: dict) -> str:
    """Write the plan of pipeline.planning.plan.plan in aligned lines."""
    parts = [heading(plan), jobs(plan), trainings(plan), totals(plan), time(plan), disk(plan), one_more(plan), *states(plan)]
    return "\n\n".join(part for part in parts if part)


def heading(plan: dict) -> str:
    """Write the scale, its images, the device of the hours and where speeds come from."""
    throughput = plan["throughput"]
    lines = [f"Campaign {plan['scale']}: {plan['about']}", f"Images: {'; '.join(plan['images'])}"]
    if throughput["device"]:
        lines.append(f"Hours are those of one device: {throughput['device']}{cores(throughput)}")
        lines.append(
            f"Speeds: of {throughput['kinds']} kinds of training {throughput['recorded']} from this campaign's records, "
            f"{throughput['measured']} from throughput.json, {len(throughput['missing'])} not measured"
        )
    lines += file_notes(plan) + missing(plan)
    return "\n".join(lines)


def cores(throughput: dict) -> str:
    """Name the number of cores where speeds of throughput.json are those of a processor."""
    file = throughput.get("file")
    return f" ({file['cores']} cores)" if file and not file["gpu"] else ""


def file_notes(plan: dict) -> list[str]:
    """Note where speeds of throughput.json differ from the campaign's: no GPU, another batch, networks that are not trained."""
    file, lines = plan["throughput"].get("file"), []
    if not file:
        return lines
    if not file["gpu"]:
        lines.append(
            f"  These are no GPU hours: throughput.json was measured on a processor. Where the campaign is to run, "
            f"make throughput SCALE={plan['scale']} takes its place."
        )
    other_batches = [f"{batch} (declared: {declared})" for batch, declared in file["batches"] if batch != declared]
    if other_batches:
        lines.append(f"  It was measured at batch {', '.join(other_batches)}.")
    return [*lines, "  Its networks are as the seed draws them: trained ones are faster where they halt more tokens."]


def missing(plan: dict) -> list[str]:
    """List the kinds of training that have no speed, and the command that measures them."""
    names = plan["throughput"]["missing"]
    if not names:
        return []
    head = f"No speed was measured of {len(names)} kinds of training: make throughput SCALE={plan['scale']} measures them. Without them:"
    return [head, *(f"  {name}" for name in names)]


def jobs(plan: dict) -> str:
    """Write a line per rule: its jobs, those done and left, and the states of unfinished trainings."""
    train = plan["jobs"]["train"]
    lines = [("rule", "jobs", "done", "left", "")]
    for rule, counts in plan["jobs"].items():
        remark = ", ".join(f"{train[state]} {state}" for state in STATES if train[state]) if rule == "train" else ""
        lines.append((rule, counts["jobs"], counts["done"], counts["left"], remark or NEGLIGIBLE.get(rule, "")))
    return table(lines, "<>>><")


NEGLIGIBLE = {rule: "seconds to minutes, not counted below" for rule in ("prepare", "aggregate", "figure", "claims", "report")}


def trainings(plan: dict) -> str:
    """Write a line per training, with the rows of Table 1 that it makes."""
    places_of_training: dict[str, list[str]] = {}
    for row in plan["rows"]:
        places_of_training.setdefault(row["training"], []).append(row["at"].removeprefix("T = "))
    lines = [
        ("training", "seeds", "done", "epochs", "images/s", "h a run", "h, all", "left", "evaluations", "left", "rows of Table 1")
    ]
    for training in plan["trainings"]:
        hours_per_run = None if training["train"] is None else training["train"] / training["seeds"]
        numbers = (
            hours(hours_per_run),
            hours(training["train"]),
            hours(training["train_left"]),
            hours(training["evaluate"]),
            hours(training["evaluate_left"]),
        )
        name = ("  " if training["parent"] else "") + training["label"]
        lines.append(
            (
                name,
                training["seeds"],
                training["done"],
                training["epochs"],
                rate(training["images_per_second"]),
                *numbers,
                exits_and_timesteps(places_of_training.get(training["label"], [])),
            )
        )
    head = "Hours by training, all its seeds together; a row of Table 1 costs those of its training, which rows at other T and exits share"
    return f"{head}\n{table(lines, '<>>>>>>>>><')}"


def exits_and_timesteps(places: list[str]) -> str:
    """List the timesteps and exits of the rows of one training."""
    timesteps = [place for place in places if not place.startswith("exit")]
    exits = [place for place in places if place.startswith("exit")]
    return ", ".join(([f"T = {', '.join(timesteps)}"] if timesteps else []) + exits) or "none"


def totals(plan: dict) -> str:
    """Write the device hours of trainings and evaluations, whole and left."""
    sums = plan["totals"]
    lines = [("device hours", "whole", "left")]
    for name, key in (("trainings", "train"), ("evaluations", "evaluate")):
        lines.append((name, least(sums, key), least(sums, f"{key}_left")))
    sums_together = {key: sums[f"train{key}"] + sums[f"evaluate{key}"] for key in ("", "_left", "_unknown", "_left_unknown")}
    lines.append(("together", least(sums_together, ""), least(sums_together, "_left")))
    notes = "Evaluations: one pass that measures, one that counts energy, 1,000 images more where exits are declared; probes as often\n"
    notes += "as their settings say, at least once. Whole: what is finished as it was recorded, the rest as planned."
    return f"{table(lines, '<>>')}\n{notes}"


def least(sums: dict, key: str, formatter: Callable = hours) -> str:
    """Format a number, as a lower bound where some of its parts are unknown."""
    if not sums[f"{key}_unknown"]:
        return formatter(sums[key])
    return f"at least {formatter(sums[key])}" if sums[key] else "?"


def time(plan: dict) -> str:
    """Write the hours of the longest chain of jobs, and of all jobs on one device and on several."""
    devices, lines = plan["devices"], [("hours", "longest chain", "1 device", f"{plan['devices']} devices at once")]
    for key in ("whole", "left"):
        schedule = plan[key]
        columns = [{"": schedule[f"{name}_hours"], "_unknown": schedule["unknown"]} for name in ("chain", "one_device", "wall")]
        lines.append((key, *(least(sums, "") for sums in columns)))
    lines = [line[:3] for line in lines] if devices == 1 else lines
    hint = "" if devices > 1 else "  (GPUS=8: with 8 devices at once)"
    chain = plan["left"]["chain"] or plan["whole"]["chain"]
    chain_jobs = " -> ".join(f"{job['job']} ({hours(job['hours'])})" for job in chain)
    return f"{table(lines, '<>>>')}{hint}" + (f"\nNo number of devices makes it shorter: {chain_jobs}" if chain else "")


def disk(plan: dict) -> str:
    """Write the disk space of a campaign, by kind of file."""
    sizes = plan["disk"]
    titles = {
        "prepared": "prepared data (and what is downloaded)",
        "weights": "final weights",
        "checkpoints": "checkpoints, the last two of each training, which stay when it has ended",
        "arrays": "arrays of evaluations, before they are compressed where they are not made yet",
    }
    lines = [(titles[key], least({"": sizes[key]["bytes"], "_unknown": sizes[key]["unknown"]}, "", size)) for key in titles]
    sums_together = {"": sum(sizes[key]["bytes"] for key in titles), "_unknown": sum(sizes[key]["unknown"] for key in titles)}
    lines.append(("together", least(sums_together, "", size)))
    at_once = {"": sizes["checkpoints_at_once"], "_unknown": sizes["checkpoints"]["unknown"]}
    lines.append((f"of checkpoints at once, with {plan['devices']} at work", least(at_once, "", size)))
    lines.append(("here now", size(sizes["here"])))
    return table([("disk", ""), *lines], "<>")


def one_more(plan: dict) -> str:
    """Write the device hours of one more seed and of one more gamma."""
    estimates = plan["one_more"]
    seed = estimates["seed"]
    lines = [("one more", "device hours", "")]
    lines.append(
        (
            "seed",
            least({"": seed["hours"], "_unknown": seed["unknown"]}, ""),
            f"of each of the {seed['trainings']} trainings, with its evaluations",
        )
    )
    for row in estimates["gammas"]:
        lines.append(
            (
                "gamma",
                hours(row["hours"]),
                f"{row['data']}, {row['architecture']}, {row['seeds']} seed{'s' * (row['seeds'] > 1)}, as {row['as']} takes",
            )
        )
    return table(lines, "<><")


def states(plan: dict) -> Iterable[str]:
    """Write the trainings that are under way or failed, and all notes."""
    lines = []
    for row in plan["progress"]:
        waiting = f"; {row['waiting']} trainings wait for it" if row["waiting"] and row["state"] == "failed" else ""
        lines.append(
            f"  {row['run']}: {row['state']}, {row['epoch']} of {row['epochs']} epochs{waiting}{': ' * bool(row['reason'])}{row['reason']}"
        )
    yield "\n".join(["Under way or failed:", *lines]) if lines else ""
    yield "\n".join(["To know:", *(f"  {note}" for note in plan["notes"])]) if plan["notes"] else ""


def rate(number: float | None) -> str:
    """Format images per second; ? where they are unknown."""
    return "?" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def size(number: float) -> str:
    """Format bytes in a decimal unit."""
    power = min(4, max(0, (len(str(int(number))) - 1) // 3))
    number /= 1000**power
    return f"{number:.3g} {UNITS[power]}" if number < 100 else f"{number:,.0f} {UNITS[power]}"


def table(lines: list[tuple], sides: str) -> str:
    """Align columns as wide as their longest entry, < to the left and > to the right."""
    cells = [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths)).rstrip() for line in cells
    )
