"""Pretend the GPUs of a machine: a program named nvidia-smi that tells of some, as the real one's -L does."""


def install(folder, script):
    """Write the program, a shell script."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def pretend(folder, uuids, instances_of=None, models=None):
    """Write the program for GPUs with these UUIDs; it names the MIG instances of some, and an unusual model."""
    lines = []
    for index, uuid in enumerate(uuids):
        lines.append(f"GPU {index}: {(models or {}).get(uuid, 'NVIDIA H100 80GB HBM3')} (UUID: {uuid})")
        for number, instance in enumerate((instances_of or {}).get(uuid, ())):
            lines.append(f"  MIG 1g.10gb     Device  {number}: (UUID: {instance})")
    install(folder, "\n".join(["cat <<END", *lines, "END"]))
