"""Several processes train as one would on all their batches."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from builders.line_task import SHORT, Line, Numbers, trainer_of
from torch import Tensor

from animcli.errors import DeviceError
from animcli.training.processes import ALONE, open_processes
from animcli.training.trainer import CHECKPOINT, CURVE


class Pair(Line):
    """Two processes' batches of an update, in one."""

    def __init__(self) -> None:
        super().__init__()
        self.update = 0

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        both = []
        for number in (2 * self.update, 2 * self.update + 1):
            rng.manual_seed(SHORT.seed * 1_000_003 + number)
            both.append(super().loss(Numbers()[number], rng))
        self.update += 1
        return (both[0] + both[1]) / 2


def test_gradients_of_the_only_process_are_the_mean() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, 2.0])
    ALONE.average_gradients([weight])
    assert weight.grad.tolist() == [1, 2]
    assert ALONE.any(True)
    assert not ALONE.any(False)


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
    pair = trainer_of(Pair(), tmp_path / "pair")
    pair.fit()
    short = trainer_of(Pair(), tmp_path / "short", updates=1)
    short.fit()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        # The mean of two sums instead of the sum of two halves.
        torch.testing.assert_close(found["weights"], pair.task.model.state_dict())
        assert found["steps"] == 12
        # The second alone is late, and both end there.
        assert found["late"] == 1
        torch.testing.assert_close(found["ended"], short.task.model.state_dict())
    assert {path.name for path in (tmp_path / "0").iterdir()} == {CHECKPOINT, CURVE}
    assert list((tmp_path / "1").iterdir()) == []


def work(target: Path) -> None:
    processes = open_processes(os.environ, "cpu")
    folder = target.with_suffix("")
    trainer = trainer_of(Line(), folder, processes=processes)
    assert trainer.fit()
    weights = {n: x.clone() for n, x in trainer.task.model.state_dict().items()}
    minutes = (60, 1e-9)[processes.index]
    late = trainer_of(
        Line(),
        target.parent / f"late-{processes.index}",
        processes=processes,
        minutes=minutes,
    )
    assert not late.fit()
    found = {
        "weights": weights,
        "steps": trainer.step,
        "late": late.step,
        "ended": late.task.model.state_dict(),
    }
    torch.save(found, target)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
