"""Processes that permissions hold for, also where the tests run as root."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

PR_CAPBSET_DROP = 24
CAPABILITIES = (1, 2, 3)  # DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER


def drop_privileges() -> None:
    """What `exec` starts next may do no more than the modes of files allow."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in CAPABILITIES:
        if os.geteuid() == 0 and libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def run_unprivileged(
    *words: str, cwd: Path, environment: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """`anim` with these words."""
    return subprocess.run(
        [sys.executable, "-m", "animcli", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=drop_privileges,
    )
