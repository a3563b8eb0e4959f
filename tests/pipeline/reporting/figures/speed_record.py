"""A record of speed as pipeline.bench writes it, with times that are easy to work out."""

import json

from pipeline.reporting.figures import seconds_over_firing_rate

SHARES = (0.1, 0.3, 0.5)


def measured(group, seconds, **info):
    return {"group": group, "stats": {"min": seconds, "median": 2 * seconds}, "extra_info": info}


def record(images=True):
    """Dense takes 4 ms at any share, event-driven 10 ms times the share; networks take 1 ms and 1 ns per counted operation."""
    benchmarks = []
    for layer in seconds_over_firing_rate.LAYERS:
        for share in SHARES:
            for path, seconds in (("dense", 0.004), ("events", 0.01 * share)):
                info = {"path": path, "share": share, "dtype": "float32", "threshold": 0.35}
                benchmarks.append(measured(f"firing rate, {layer}, float32", seconds, **info))
    for number, operations in enumerate((1e6, 2e6, 4e6) if images else ()):
        for path, seconds in (("", 0.001 + 1e-9 * operations), (", dense products", 0.007)):
            point = {"title": "STATIC", "dataset": "CIFAR-10", "timesteps": 4, "operations": operations, "images_are": "noise"}
            point |= {"row": f"{number}", "name": f"{number}{path}", "images": 2, "dense_operations": 9e6 - operations}
            benchmarks.append(measured("evaluations", 2 * seconds, **point))
    return json.dumps({"benchmarks": benchmarks})
