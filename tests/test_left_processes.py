"""What tests leave running is found, whoever its parent is, and only that."""

import os
import subprocess
import sys

import left_processes


def test_a_process_is_found_until_it_ends_though_its_parent_has_ended():
    before = left_processes.left()
    words = [sys.executable, "-c", "import subprocess; print(subprocess.Popen(['sleep', '100'], stdout=-3, stderr=-3).pid)"]
    orphan = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    others = {name: value for name, value in os.environ.items() if name != left_processes.MARK}
    stranger = subprocess.Popen(["sleep", "100"], env=others)
    try:
        found = {process: command for process, command in left_processes.left().items() if process not in before}
        assert found == {orphan: "sleep 100"}
        assert not left_processes.left(also="SLURM_JOB_ID=") and stranger.poll() is None
    finally:
        stranger.kill(), stranger.wait()
        left_processes.kill({orphan: ""})
    assert orphan not in left_processes.left_for_good()
