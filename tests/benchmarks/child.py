"""A process that measures one job after another, so that no shape check, memory setting or environment of the tests is in it.

Every line of its input is a JSON object: {"job": ..., ...} prepares a job of tests/benchmarks/jobs.py and is answered with
its facts; {} takes one step of it and is answered, after the device is done, with the peak of memory so far.
"""

import json
import os
import resource
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is no answer
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import torch
    from benchmarks import jobs

    step = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked:
            step, told = None, {}  # the last job's memory is free before the next is built
            step, told = jobs.prepare(asked)
        else:
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            told = {"memory_gb": round(peak_gb(), 3)}
        print(json.dumps(told), file=answers, flush=True)


def peak_gb() -> float:
    """Most memory held so far in GB: the GPU's by torch's count, else the process's resident."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
