# SPDX-License-Identifier: Apache-2.0
"""Where a benchmark runs: on this machine, or in a virtual one with a kernel of the matrix (scripts/kernels)."""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def fail(text):
    sys.exit(f"bench: {text}")


def need_root():
    if os.geteuid() != 0:
        fail("tracing needs root\nhint: run it with sudo")


def run_there(kernel, place, names, command, out):
    """Copies `names` in the folder `place` to the virtual machine, runs there the shell's `command` in a folder with them
    and $IOLENS set, and copies what it wrote in /out to `out`. What the folder `place`/payload has is at its root."""
    payload = os.path.join(place, "payload")
    os.makedirs(os.path.join(payload, "bench"))
    for name in names:
        shutil.copy(os.path.join(place, name), os.path.join(payload, "bench", name))
    script = os.path.join(payload, "run.sh")
    pathlib.Path(script).write_text("#!/bin/sh\nmkdir -p /out /var/tmp/bench && cp /bench/* /var/tmp/bench/ && cd /var/tmp/bench\n"
                                    f"export IOLENS=/root/iolens\n{command}\n")
    os.chmod(script, 0o755)
    subprocess.run([ROOT / "scripts/kernels", "--only", kernel, "--payload", payload], check=True)
    shutil.copytree(ROOT / "build/kernels" / f"{kernel}-amd64" / "result", out, dirs_exist_ok=True)
