"""anim: one picture dances like one video.

`extract_pose`, `retarget`, `render` and `run_command` are those of `animcli.api`.
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# ONNX Runtime 1.31 makes a device id in the home folder and reports to its makers; this
# variable, set before it is loaded, keeps it from both. Who wants it says 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_FUNCTIONS = ("extract_pose", "retarget", "render", "run_command")


def __getattr__(name: str) -> Any:
    """Functions of `animcli.api`, loaded when they are asked for."""
    if name in _FUNCTIONS:
        return getattr(import_module("animcli.api"), name)
    raise AttributeError(f"animcli has no {name!r}")
