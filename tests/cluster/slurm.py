"""A SLURM of our own: Debian's slurmctld and munged on this machine, and two nodes of it with four pretended GPUs in all."""

import os
import platform
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import debian
import left_processes

PACKAGES = {"munged": "munge", "slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "sbatch": "slurm-wlm"}
ETC = Path("/etc/slurm")  # where srun looks: Snakemake's jobs forget SLURM_CONF
NODES = ("n1", "n2")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort=26817
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
GresTypes=gpu
MinJobAge=300
ReturnToService=2
KillWait=20
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=26818 CPUs=64 RealMemory=200000 Gres=gpu:a100:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=26819 CPUs=64 RealMemory=200000 Gres=gpu:a100:2
PartitionName=cpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n1,n2 MaxTime=INFINITE State=UP
"""


def unusable() -> str:
    """Why it can't be run here, or nothing; Debian's packages are installed where that is allowed."""
    if os.geteuid():
        return "SLURM's daemons need root, which runs these tests in CI"
    if missing():
        debian.install(*set(PACKAGES.values()))
    if absent := missing():
        return f"{', '.join(absent)} can't be found: apt-get install {' '.join(sorted(set(PACKAGES.values())))}"
    if is_left_by_a_killed_test(ETC / "slurm.conf"):
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)
    if (ETC / "slurm.conf").exists():
        return f"{ETC / 'slurm.conf'} belongs to a cluster that is here already"
    return ""


def is_left_by_a_killed_test(conf: Path) -> bool:
    """Whether it is a link to a cluster of these tests whose controller has ended."""
    if not conf.is_symlink() or not conf.readlink().is_relative_to(Path(tempfile.gettempdir())):
        return False
    try:
        return not Path("/proc", (conf.readlink().parent / "slurmctld.pid").read_text().strip(), "exe").exists()
    except OSError:
        return True


def missing() -> list[str]:
    return [program for program in PACKAGES if not shutil.which(program)]


class Job(NamedTuple):
    number: str
    node: str


class Slurm:
    """Started with the block, gone at its end with all its jobs."""

    def __init__(self, folder: Path):
        self.folder, self.host = folder, platform.node().split(".")[0]

    def __enter__(self):
        (self.folder / "state").mkdir(parents=True)
        (self.folder / "slurm.conf").write_text(CONF.format(host=self.host, folder=self.folder))
        lines = [f"NodeName={node} Name=gpu Type=a100 File={self.folder}/{node}-gpu[0-1]\n" for node in NODES]
        (self.folder / "gres.conf").write_text("".join(lines))
        for node in NODES:
            for number in (0, 1):
                (self.folder / f"{node}-gpu{number}").touch()
        (self.folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (self.folder / "munge.key").chmod(0o600)
        ETC.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).symlink_to(self.folder / name)
        try:
            self.munge()
            run("slurmctld", "-c")
            for node in NODES:
                run("slurmd", "-c", "-N", node)
            self.wait_for(lambda: self.states() == ["idle"] * len(NODES), "its nodes are not idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["scancel", "--user=root"], capture_output=True)
        for name in ("slurmd-n1", "slurmd-n2", "slurmctld", "munged"):
            end(self.folder / f"{name}.pid")
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)
        left_processes.kill(left_processes.left(also="SLURM_JOB_ID="))  # linuxproc loses sight of those whose parent ends first

    def munge(self) -> None:
        places = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid", "log-file": "munged.log"}
        places["seed-file"] = "munge.seed"
        run("munged", "--force", *(f"--{option}={self.folder / name}" for option, name in places.items()))

    def states(self) -> list[str]:
        return run("sinfo", "--Node", "--noheader", "--partition=cpu", "--format=%T").split()

    def running(self, text: str) -> "Job | None":
        """The running job whose comment, a rule and its wildcards, has a text."""
        for line in run("squeue", "--noheader", "--states=RUNNING", "--format=%i|%N|%k").splitlines():
            number, node, comment = line.split("|", 2)
            if text in comment:
                return Job(number, node)

    def wait_for(self, what, otherwise: str, seconds: float = 120):
        """What a function gives, once it gives something."""
        begun = time.monotonic()
        while not (found := what()):
            assert time.monotonic() - begun < seconds, f"after {seconds} s {otherwise}: {self.told()}"
            time.sleep(0.3)
        return found

    def told(self) -> str:
        logs = [path.read_text()[-1500:] for path in self.folder.glob("slurm*.log")]
        return "\n".join([run("squeue"), run("sinfo"), *logs])


def end(pid_file: Path) -> None:
    """Ask a daemon to end, and wait until it has."""
    try:
        number = int(pid_file.read_text())
        for _ in range(100):
            os.kill(number, signal.SIGTERM)
            time.sleep(0.1)
    except (OSError, ValueError):  # it has ended, or was never there
        return


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout
