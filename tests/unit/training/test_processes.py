"""Several processes train as one would on all their batches."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from builders.line_course import SHORT, Kept, Line, losses
from torch import Tensor

from animcli.errors import DeviceError
from animcli.training.loop import train
from animcli.training.processes import ALONE, open_processes


class Pair(Line):
    """What two processes see of an update, in one."""

    def loss(self, step: int, random: torch.Generator) -> Tensor:
        both = []
        for batch in (2 * step, 2 * step + 1):
            random.manual_seed(SHORT.seed * 1_000_003 + batch)
            both.append(super().loss(batch, random))
        return (both[0] + both[1]) / 2


def test_one_process_wants_no_accelerate() -> None:
    assert open_processes({}, "cpu") is ALONE
    assert open_processes({"WORLD_SIZE": "1"}, "cpu") is ALONE


def test_several_processes_without_accelerate_are_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(DeviceError, match="wants accelerate"):
        open_processes({"WORLD_SIZE": "2"}, "cpu")


@pytest.mark.slow  # two interpreters import torch and accelerate
def test_two_processes_update_by_the_mean_of_their_gradients(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path / f"{rank}.pt")],
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
                "WORLD_SIZE": "2",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            },
        )
        for rank in range(2)
    ]
    assert [process.wait(300) for process in processes] == [0, 0]
    course = Pair()
    losses(course, Kept())
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        # The mean of two sums instead of the sum of two halves.
        torch.testing.assert_close(found["weights"], course.network.state_dict())
        assert found["saves"] == (rank == 0)


def work(target: Path) -> None:
    course, kept = Line(), Kept()
    processes = open_processes(os.environ, "cpu")
    for _ in train(course, SHORT, kept, processes):
        pass
    processes.wait()
    weights = course.network.state_dict()
    torch.save({"weights": weights, "saves": kept.arrays is not None}, target)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
