"""A plan as text: what one reads before many trainings are begun."""

from collections.abc import Callable, Iterable

UNITS = ("B", "kB", "MB", "GB", "TB")
STATES = ("under way", "failed", "not begun")


def hours(number: float | None) -> str:
    if number is None:
        return "?"
    return "0" if not number else f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def text(plan: dict) -> str:
    """The plan that pipeline.plan.plan made, in aligned lines."""
    parts = [heading(plan), jobs(plan), trainings(plan), totals(plan), time(plan), disk(plan), one_more(plan), *states(plan)]
    return "\n\n".join(part for part in parts if part)


def heading(plan: dict) -> str:
    told = plan["throughput"]
    lines = [f"Campaign {plan['scale']}: {plan['about']}", f"Images: {'; '.join(plan['images'])}"]
    if told["device"]:
        lines.append(f"Hours are those of one device: {told['device']}{cores(told)}")
        lines.append(
            f"Speeds: of {told['kinds']} kinds of training {told['recorded']} from this campaign's records, "
            f"{told['measured']} from throughput.json, {len(told['missing'])} not measured"
        )
    lines += of_file(plan) + missing(plan)
    return "\n".join(lines)


def cores(told: dict) -> str:
    file = told.get("file")
    return f" ({file['cores']} cores)" if file and not file["gpu"] else ""


def of_file(plan: dict) -> list[str]:
    """What speeds of throughput.json are, and what they are not."""
    file, lines = plan["throughput"].get("file"), []
    if not file:
        return lines
    if not file["gpu"]:
        lines.append(
            f"  These are no GPU hours: throughput.json was measured on a processor. Where the campaign is to run, "
            f"make throughput SCALE={plan['scale']} takes its place."
        )
    other = [f"{batch} (declared: {declared})" for batch, declared in file["batches"] if batch != declared]
    if other:
        lines.append(f"  It was measured at batch {', '.join(other)}.")
    return [*lines, "  Its networks are as the seed draws them: trained ones are faster where they halt more tokens."]


def missing(plan: dict) -> list[str]:
    """What has no speed, and what measures it."""
    names = plan["throughput"]["missing"]
    if not names:
        return []
    head = f"No speed was measured of {len(names)} kinds of training: make throughput SCALE={plan['scale']} measures them. Without them:"
    return [head, *(f"  {name}" for name in names)]


def jobs(plan: dict) -> str:
    train = plan["jobs"]["train"]
    lines = [("rule", "jobs", "done", "left", "")]
    for rule, told in plan["jobs"].items():
        more = ", ".join(f"{train[state]} {state}" for state in STATES if train[state]) if rule == "train" else ""
        lines.append((rule, told["jobs"], told["done"], told["left"], more or NEGLIGIBLE.get(rule, "")))
    return table(lines, "<>>><")


NEGLIGIBLE = {rule: "seconds to minutes, not counted below" for rule in ("prepare", "aggregate", "figure", "claims", "report")}


def trainings(plan: dict) -> str:
    """A line per training, with the rows of Table 1 that it makes."""
    shown: dict[str, list[str]] = {}
    for row in plan["rows"]:
        shown.setdefault(row["training"], []).append(row["at"].removeprefix("T = "))
    lines = [
        ("training", "seeds", "done", "epochs", "images/s", "h a run", "h, all", "left", "evaluations", "left", "rows of Table 1")
    ]
    for line in plan["trainings"]:
        each = None if line["train"] is None else line["train"] / line["seeds"]
        numbers = (
            hours(each),
            hours(line["train"]),
            hours(line["train_left"]),
            hours(line["evaluate"]),
            hours(line["evaluate_left"]),
        )
        name = ("  " if line["parent"] else "") + line["label"]
        lines.append(
            (
                name,
                line["seeds"],
                line["done"],
                line["epochs"],
                rate(line["images_per_second"]),
                *numbers,
                at(shown.get(line["label"], [])),
            )
        )
    head = "Hours by training, all its seeds together; a row of Table 1 costs those of its training, which rows at other T and exits share"
    return f"{head}\n{table(lines, '<>>>>>>>>><')}"


def at(places: list[str]) -> str:
    """Timesteps and exits of the rows of one training."""
    timesteps = [place for place in places if not place.startswith("exit")]
    exits = [place for place in places if place.startswith("exit")]
    return ", ".join(([f"T = {', '.join(timesteps)}"] if timesteps else []) + exits) or "none"


def totals(plan: dict) -> str:
    told = plan["totals"]
    lines = [("device hours", "whole", "left")]
    for name, key in (("trainings", "train"), ("evaluations", "evaluate")):
        lines.append((name, least(told, key), least(told, f"{key}_left")))
    both = {key: told[f"train{key}"] + told[f"evaluate{key}"] for key in ("", "_left", "_unknown", "_left_unknown")}
    lines.append(("together", least(both, ""), least(both, "_left")))
    notes = "Evaluations: one pass that measures, one that counts energy, 1,000 images more where exits are declared; probes as often\n"
    notes += "as their settings say, at least once. Whole: what is finished as it was recorded, the rest as planned."
    return f"{table(lines, '<>>')}\n{notes}"


def least(told: dict, key: str, shown: Callable = hours) -> str:
    """A number, which is a lower bound where some of its parts are not known."""
    if not told[f"{key}_unknown"]:
        return shown(told[key])
    return f"at least {shown(told[key])}" if told[key] else "?"


def time(plan: dict) -> str:
    """The longest chain of jobs, and all of them on one device and on several."""
    devices, lines = plan["devices"], [("hours", "longest chain", "1 device", f"{plan['devices']} devices at once")]
    for key in ("whole", "left"):
        told = plan[key]
        each = [{"": told[f"{name}_hours"], "_unknown": told["unknown"]} for name in ("chain", "one_device", "wall")]
        lines.append((key, *(least(one, "") for one in each)))
    lines = [line[:3] for line in lines] if devices == 1 else lines
    more = "" if devices > 1 else "  (GPUS=8: with 8 devices at once)"
    chain = plan["left"]["chain"] or plan["whole"]["chain"]
    shown = " -> ".join(f"{job['job']} ({hours(job['hours'])})" for job in chain)
    return f"{table(lines, '<>>>')}{more}" + (f"\nNo number of devices makes it shorter: {shown}" if chain else "")


def disk(plan: dict) -> str:
    told = plan["disk"]
    words = {
        "prepared": "prepared data (and what is downloaded)",
        "weights": "final weights",
        "checkpoints": "checkpoints, the last two of each training, which stay when it has ended",
        "arrays": "arrays of evaluations, before they are compressed where they are not made yet",
    }
    lines = [(words[key], least({"": told[key]["bytes"], "_unknown": told[key]["unknown"]}, "", size)) for key in words]
    both = {"": sum(told[key]["bytes"] for key in words), "_unknown": sum(told[key]["unknown"] for key in words)}
    lines.append(("together", least(both, "", size)))
    at_once = {"": told["checkpoints_at_once"], "_unknown": told["checkpoints"]["unknown"]}
    lines.append((f"of checkpoints at once, with {plan['devices']} at work", least(at_once, "", size)))
    lines.append(("here now", size(told["here"])))
    return table([("disk", ""), *lines], "<>")


def one_more(plan: dict) -> str:
    told = plan["one_more"]
    seed = told["seed"]
    lines = [("one more", "device hours", "")]
    lines.append(
        (
            "seed",
            least({"": seed["hours"], "_unknown": seed["unknown"]}, ""),
            f"of each of the {seed['trainings']} trainings, with its evaluations",
        )
    )
    for one in told["gammas"]:
        lines.append(
            (
                "gamma",
                hours(one["hours"]),
                f"{one['data']}, {one['architecture']}, {one['seeds']} seed{'s' * (one['seeds'] > 1)}, as {one['as']} takes",
            )
        )
    return table(lines, "<><")


def states(plan: dict) -> Iterable[str]:
    """What is under way or failed, and what else there is to know."""
    lines = []
    for one in plan["progress"]:
        waiting = f"; {one['waiting']} trainings wait for it" if one["waiting"] and one["state"] == "failed" else ""
        lines.append(
            f"  {one['run']}: {one['state']}, {one['epoch']} of {one['epochs']} epochs{waiting}{': ' * bool(one['reason'])}{one['reason']}"
        )
    yield "\n".join(["Under way or failed:", *lines]) if lines else ""
    yield "\n".join(["To know:", *(f"  {note}" for note in plan["notes"])]) if plan["notes"] else ""


def rate(number: float | None) -> str:
    return "?" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def size(number: float) -> str:
    power = min(4, max(0, (len(str(int(number))) - 1) // 3))
    number /= 1000**power
    return f"{number:.3g} {UNITS[power]}" if number < 100 else f"{number:,.0f} {UNITS[power]}"


def table(lines: list[tuple], sides: str) -> str:
    """Columns as wide as their longest entry, < to the left and > to the right."""
    cells = [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths)).rstrip() for line in cells
    )
