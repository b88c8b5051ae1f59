"""The trainer: learning rates, EMA, and going on after a kill."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.line_task import SHORT, Line, Numbers, trainer_of
from torch import Tensor, nn

from animcli.errors import ProjectError
from animcli.training.trainer import CHECKPOINT, CURVE, Trainer, TrainerSettings, read_curve


class KilledError(Exception):
    """In the place of a kill."""


def killer(step: int) -> Callable[[str, int, int], None]:
    """A progress line at which a run dies, between an update and its evaluation or save."""

    def progress(task: str, done: int, total: int) -> None:
        if done == step:
            raise KilledError

    return progress


class Noting(Line):
    """A line that notes its losses."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        loss = super().loss(batch, rng)
        self.losses.append(loss.item())
        return loss


def fitted(folder: Path, **changes: Any) -> tuple[Trainer, list[float]]:
    task = Noting()
    trainer = trainer_of(task, folder, **changes)
    trainer.fit()
    return trainer, task.losses


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Weights, their EMA, and the optimizer's state."""
    assert trainer.ema is not None
    return {
        "weights": trainer.task.model.state_dict(),
        "ema": trainer.ema.state_dict(),
        "optimizer": trainer.optimizer.state_dict()["state"],
    }


def curve_of(folder: Path) -> list[dict[str, float]]:
    """Rows of the curve, without what depends on the machine's speed."""
    rows = [json.loads(line) for line in (folder / CURVE).read_text().splitlines()]
    return [{n: x for n, x in row.items() if n != "samples_per_second"} for row in rows]


def assert_same(one: Trainer, other: Trainer) -> None:
    torch.testing.assert_close(state_of(one), state_of(other), rtol=0, atol=0)
    assert one.scheduler.get_last_lr() == other.scheduler.get_last_lr()


@pytest.mark.parametrize(
    ("killed_at", "workers"), [(1, 0), (5, 0), (7, 0), (12, 0), (7, 1)]
)
def test_a_killed_run_goes_on_with_the_same_losses_weights_and_ema(
    killed_at: int, workers: int, tmp_path: Path
) -> None:
    whole, losses = fitted(tmp_path / "whole")
    broken = trainer_of(
        Noting(), tmp_path / "broken", progress=killer(killed_at), workers=workers
    )
    with pytest.raises(KilledError):
        broken.fit()
    resumed, again = fitted(tmp_path / "broken", workers=workers)
    assert again == losses[(killed_at - 1) // 5 * 5 :]  # what came after the last save
    assert_same(whole, resumed)
    there, here = curve_of(whole.folder), curve_of(resumed.folder)
    assert [row["updates"] for row in here] == [4, 8, 12]
    assert [row["error"] for row in here] == [row["error"] for row in there]


def test_a_run_that_is_done_trains_no_more(tmp_path: Path) -> None:
    first, _ = fitted(tmp_path)
    curve = (tmp_path / CURVE).read_bytes()
    again, losses = fitted(tmp_path)
    assert losses == []
    assert_same(first, again)
    assert (tmp_path / CURVE).read_bytes() == curve


def test_the_schedule_may_be_changed_on_the_way(tmp_path: Path) -> None:
    trainer_of(Line(), tmp_path, updates=5).fit()
    changes = {
        "updates": 9, "decay": 6, "learning_rate": 0.02, "beta2": 0.9, "weight_decay": 0.5,
    }  # fmt: skip
    resumed = trainer_of(Line(), tmp_path, **changes)
    assert resumed.step == 5
    wanted = TrainerSettings(warmup=2, **changes)
    rates = []
    for _ in resumed.updates():
        rates.append(resumed.scheduler.get_last_lr()[0])
        (group,) = resumed.optimizer.param_groups
        assert group["betas"] == (0.9, 0.9)
        assert group["weight_decay"] == 0.5
    # After each update that of the next one is set.
    assert rates == [0.02 * wanted.rate(step) for step in (6, 7, 8, 9)]
    assert rates[-1] == 0


def test_the_first_update_of_a_resumed_run_has_the_rate_of_now(tmp_path: Path) -> None:
    trainer_of(Line(), tmp_path, updates=5).fit()
    still = trainer_of(Line(), tmp_path, learning_rate=0.0, weight_decay=0.0)
    before = {name: each.clone() for name, each in still.task.model.state_dict().items()}
    next(iter(still.updates()))
    torch.testing.assert_close(still.task.model.state_dict(), before, rtol=0, atol=0)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    schedule = TrainerSettings(updates=100, warmup=4, decay=20)
    rates = [schedule.rate(step) for step in (0, 1, 3, 50, 80, 90, 100)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 1, 1, 1, 0.5, 0], atol=1e-12)
    assert TrainerSettings(updates=100, warmup=0).rate(0) == 1


def test_updates_use_the_learning_rate_of_the_schedule(tmp_path: Path) -> None:
    trainer = trainer_of(Line(), tmp_path, decay=6)
    used = [trainer.optimizer.param_groups[0]["lr"]]
    used += [trainer.optimizer.param_groups[0]["lr"] for _ in trainer.updates()]
    assert used == [0.1 * trainer.settings.rate(step) for step in range(13)]


def test_ema_forgets_the_initial_weights() -> None:
    settings = TrainerSettings(ema_decay=0.99)
    assert settings.decay_at(0) == 0.1
    assert settings.decay_at(10_000) == 0.99


def test_ema_follows_by_its_recursion(tmp_path: Path) -> None:
    trainer = trainer_of(Line(), tmp_path, updates=6, ema_decay=0.25)
    expected: Tensor | None = None
    for _ in trainer.updates():
        weight = next(iter(trainer.trained.values())).detach().double()
        decay = min(0.25, trainer.step / (9 + trainer.step))
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
        with trainer.averaged() as model:
            torch.testing.assert_close(next(model.parameters()).double(), expected)
        torch.testing.assert_close(
            next(trainer.task.model.parameters()).double(), weight, rtol=0, atol=0
        )
    assert expected is not None
    assert not torch.equal(expected, weight)


def test_an_evaluation_that_fails_leaves_the_weights_in_their_place(tmp_path: Path) -> None:
    trainer, _ = fitted(tmp_path)
    before = {name: each.clone() for name, each in trainer.task.model.state_dict().items()}
    with pytest.raises(KilledError), trainer.averaged():
        raise KilledError
    torch.testing.assert_close(trainer.task.model.state_dict(), before, rtol=0, atol=0)


def test_without_an_ema_the_weights_are_kept_once(tmp_path: Path) -> None:
    trainer, losses = fitted(tmp_path / "without", ema_decay=0.0)
    assert losses == fitted(tmp_path / "with")[1]
    state = torch.load(tmp_path / "without" / CHECKPOINT, weights_only=True)
    assert state["ema"] is None
    with trainer.averaged() as model:
        assert next(model.parameters()) is next(iter(trainer.trained.values()))


def test_an_ema_that_is_wanted_later_begins_with_the_weights_of_then(
    tmp_path: Path,
) -> None:
    done, _ = fitted(tmp_path, ema_decay=0.0)
    again, _ = fitted(tmp_path, ema_decay=0.9)
    with again.averaged() as model:
        torch.testing.assert_close(
            model.state_dict(), done.task.model.state_dict(), rtol=0, atol=0
        )


class Half(Line):
    """Only the second of two layers learns."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        self.model[0].requires_grad_(False)


def test_what_does_not_learn_stays_and_is_not_kept(tmp_path: Path) -> None:
    task = Half()
    before = [p.clone() for p in task.model.parameters()]
    trainer_of(task, tmp_path).fit()
    after = list(task.model.parameters())
    assert [torch.equal(x, y) for x, y in zip(before, after, strict=True)] == [
        True, True, False, False,
    ]  # fmt: skip
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["model"].keys() == {"1.weight", "1.bias"}
    assert {name for name in state["ema"] if name.startswith("module")} == {
        "module.0", "module.1",
    }  # fmt: skip
    again = Half()
    trainer_of(again, tmp_path).fit()
    torch.testing.assert_close(again.model[1].weight, after[2], rtol=0, atol=0)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer_of(Line(), tmp_path).fit()
    with pytest.raises(ProjectError, match=r"checkpoint\.pt is of another network") as said:
        trainer_of(Half(), tmp_path)
    assert "(first: 1.bias)" in str(said.value)


@pytest.mark.parametrize("damage", ["empty", "torn", "text", "foreign", "list", "lacking"])
def test_a_damaged_or_foreign_checkpoint_is_refused_by_name(
    damage: str, tmp_path: Path
) -> None:
    trainer_of(Line(), tmp_path).fit()
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    if damage in ("foreign", "list"):
        torch.save([1] if damage == "list" else {"weights": torch.ones(1)}, path)
    elif damage == "lacking":
        state = torch.load(path, weights_only=True)
        torch.save({**state, "optimizer": {}}, path)
    else:
        path.write_bytes(
            {"empty": b"", "torn": whole[: len(whole) // 2], "text": b"not a file"}[damage]
        )
    with pytest.raises(ProjectError, match=r"checkpoint\.pt can't be read") as said:
        trainer_of(Line(), tmp_path)
    assert str(path) in str(said.value)


def refusal(folder: Path) -> str | None:
    """The complaint about a folder's checkpoint; None where it is taken."""
    try:
        trainer_of(Line(), folder)
    except ProjectError as error:
        return str(error)
    return None


def test_damage_to_what_describes_a_checkpoint_is_refused(tmp_path: Path) -> None:
    trainer_of(Line(), tmp_path).fit()
    path, rng = tmp_path / CHECKPOINT, np.random.default_rng(0)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    first = whole.tobytes().index(b"data.pkl")
    refused = 0
    for place in rng.integers(first, first + 1500, 60):
        damaged = whole.copy()
        damaged[place] ^= 255
        path.write_bytes(damaged.tobytes())
        said = refusal(tmp_path)
        refused += said is not None
        assert said is None or str(path) in said
    assert refused > 20


def test_a_torn_last_line_of_the_curve_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / CURVE
    rows = [{"updates": n, "loss": 1 / n} for n in (4, 8, 12, 16)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for torn in range(len(text) - 25, len(text)):
        path.write_text(text[:torn])
        # A row without its line's end is whole.
        assert read_curve(path, 16) == rows[: 4 if torn == len(text) - 1 else 3]
        assert read_curve(path, 8) == rows[:2]
        assert path.read_text() == text[: text.index('{"updates": 12')]
    assert read_curve(tmp_path / "none.jsonl", 8) == []


def test_minutes_end_a_session_with_a_checkpoint(tmp_path: Path) -> None:
    task = Noting()
    trainer = trainer_of(task, tmp_path, minutes=1e-9)
    assert not trainer.fit()
    assert len(task.losses) == 1
    assert [row["updates"] for row in curve_of(tmp_path)] == [1]
    assert trainer_of(Line(), tmp_path).step == 1
    resumed, rest = fitted(tmp_path)
    whole, losses = fitted(tmp_path / "whole")
    assert task.losses + rest == losses
    assert_same(resumed, whole)


def test_bfloat16_rounds_the_products(tmp_path: Path) -> None:
    exact, rounded = (
        next(trainer_of(Line(), tmp_path / str(on), bfloat16=on).updates())[0]
        for on in (False, True)
    )
    rng = torch.Generator().manual_seed(12580 * 1_000_003)
    x = Numbers()[0] + torch.randn(8, 3, generator=rng)
    line = Line().model.requires_grad_(False)
    short = (x.bfloat16() @ line.weight.bfloat16().T + line.bias.bfloat16()).float()
    assert exact == pytest.approx(float((line(x) - 2 * x).square().mean()), rel=1e-6)
    # The bias may be added before or after rounding to 8 bits.
    assert rounded == pytest.approx(float((short - 2 * x).square().mean()), rel=1e-2)
    assert rounded != exact


def test_gradients_are_clipped_to_their_norm(tmp_path: Path) -> None:
    trainer = trainer_of(Line(), tmp_path, clip_norm=0.01, learning_rate=0.0)
    next(iter(trainer.updates()))
    gradients = [p.grad for p in trainer.trained.values() if p.grad is not None]
    norm = torch.stack([each.norm() for each in gradients]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-4)


@pytest.mark.slow  # interpreters that import torch, and die
def test_a_run_that_was_really_killed_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, _ = fitted(tmp_path / "whole")
    for moment in (3, 6, 11):
        command = [sys.executable, __file__, str(tmp_path / "broken"), str(moment)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run(command, env=environment, timeout=300, check=False)
        assert ended.returncode == -signal.SIGKILL
    resumed, again = fitted(tmp_path / "broken")
    assert len(again) == 2  # saved at 5 and 10
    assert_same(whole, resumed)


def die_at(folder: Path, step: int) -> None:
    def progress(task: str, done: int, total: int) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer_of(Line(), folder, SHORT, progress).fit()


if __name__ == "__main__":
    die_at(Path(sys.argv[1]), int(sys.argv[2]))
