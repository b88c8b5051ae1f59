"""The loop: rates, averages, and going on after a kill."""

import numpy as np
import pytest
import torch
from builders.line_course import SHORT, Kept, Line, losses
from torch import nn

from animcli.errors import ProjectError
from animcli.training.loop import Schedule, follower, train


@pytest.mark.parametrize("killed_after", [1, 5, 7, 11])
def test_a_killed_run_goes_on_with_the_same_losses(killed_after: int) -> None:
    whole_course, whole = Line(), losses(Line(), Kept())
    for _ in train(whole_course, SHORT, Kept()):
        pass
    kept = Kept()
    first = losses(Line(), kept, killed_after)
    again = Line()
    second = losses(again, kept)
    assert first == whole[:killed_after]
    assert second == whole[killed_after // 5 * 5 :]  # what came after the last save
    for there, here in zip(
        (*whole_course.network.parameters(), *whole_course.average.parameters()),
        (*again.network.parameters(), *again.average.parameters()),
        strict=True,
    ):
        torch.testing.assert_close(there, here, rtol=0, atol=0)


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(updates=100, learning_rate=1.0, warmup=4, decay=20)
    rates = [schedule.rate(step) for step in (0, 1, 3, 50, 80, 90, 100)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 1, 1, 1, 0.5, 0], atol=1e-12)


def test_averages_forget_the_beginning() -> None:
    schedule = Schedule(ema=0.99)
    assert schedule.keep(0) == 0.1
    assert schedule.keep(10_000) == 0.99


class Half(Line):
    """Only the second of two layers learns."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        self.network[0].requires_grad_(False)
        self.average = follower(self.network)


def test_what_does_not_learn_is_shared_and_not_kept() -> None:
    course, kept = Half(), Kept()
    assert course.average[0].weight is course.network[0].weight
    assert course.average[1].weight is not course.network[1].weight
    before = [p.clone() for p in course.network.parameters()]
    losses(course, kept)
    after = list(course.network.parameters())
    assert [torch.equal(x, y) for x, y in zip(before, after, strict=True)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert kept.arrays is not None
    assert {name for name in kept.arrays if not name.startswith("optimiser")} == {
        "step", "network.1.weight", "network.1.bias", "average.1.weight", "average.1.bias",
    }  # fmt: skip
    again = Half()
    assert losses(again, kept) == []  # it is done
    torch.testing.assert_close(again.network[1].weight, after[2], rtol=0, atol=0)
    assert again.average[0].weight is again.network[0].weight


def test_without_an_average_the_network_is_kept_once() -> None:
    course, kept = Line(), Kept()
    course.average = course.network
    whole = losses(course, kept, 5)
    assert whole == losses(Line(), Kept(), 5)
    assert kept.arrays is not None
    assert not any(name.startswith("average") for name in kept.arrays)
    again = Line()
    again.average = again.network
    assert losses(again, kept) == losses(Line(), Kept())[5:]


def test_what_another_network_left_is_refused() -> None:
    kept = Kept()
    losses(Line(), kept)
    with pytest.raises(ProjectError, match=r"another network \(first: network\.1\.weight"):
        losses(Half(), kept)


def test_an_average_follows_by_its_recursion() -> None:
    course, schedule = Line(), Schedule(updates=4, learning_rate=0.1, warmup=1, ema=0.15)
    expected = course.average.weight.detach().double().clone()
    for progress in train(course, schedule, Kept()):
        keep = min(0.15, progress.step / (9 + progress.step))
        weight = course.network.weight.detach().double()
        expected = keep * expected + (1 - keep) * weight
        torch.testing.assert_close(course.average.weight.double(), expected)


def test_bfloat16_rounds_the_products() -> None:
    exact, rounded = (
        next(train(Line(), Schedule(updates=1, bfloat16=on), Kept())).loss
        for on in (False, True)
    )
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(12580 * 1_000_003))
    line = Line().network.requires_grad_(False)
    short = (x.bfloat16() @ line.weight.bfloat16().T + line.bias.bfloat16()).float()
    assert exact == pytest.approx(float((line(x) - 2 * x).square().mean()), rel=1e-6)
    # The bias may be added before or after rounding to 8 bits.
    assert rounded == pytest.approx(float((short - 2 * x).square().mean()), rel=1e-2)
    assert rounded != exact
