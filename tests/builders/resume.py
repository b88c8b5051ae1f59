"""Asking the runners beside this file for runs, and comparing what they made."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import av

BUILDERS = Path(__file__).parent
RUNNER = BUILDERS / "resume_runner.py"
CINEMO_RUNNER = BUILDERS / "cinemo_runner.py"


class Runner:
    """A process that runs the chain in forks of itself."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, folder: Path, fault: str = "", kill_after: float | None = None) -> int:
        """What waitpid says of one run: 0, a signal, or 256 times the exit code."""
        request = {"folder": str(folder), "fault": fault, "kill_after": kill_after}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the runner died"
        return int(json.loads(answer)["status"])


def environment() -> dict[str, str]:
    """One thread each, and the tests' own modules."""
    paths = (str(BUILDERS.parent), os.environ.get("PYTHONPATH"))
    path = os.pathsep.join(each for each in paths if each)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@contextmanager
def runner(script: Path = RUNNER) -> Iterator[Runner]:
    """A runner for as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        yield Runner(process)


def decoded(video: Path) -> str:
    """A digest of all decoded frames of a video and of their times."""
    digest = sha256()
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            digest.update(f"{frame.pts} {frame.time_base}".encode())
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()
