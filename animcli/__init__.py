"""anim: one picture dances like one video."""

import os

__version__ = "0.1.0"

# ONNX Runtime 1.31 makes a device id in the home folder and reports to its makers; this
# variable, set before it is loaded, keeps it from both. Who wants it says 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
