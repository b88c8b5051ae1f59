"""Features of frames are worked out as seldom as memory allows, and are always the same."""

import pytest
import torch
from builders.far_device import FAR, two_devices
from torch import Tensor

from animcli.rendering.context import uniform_windows
from animcli.rendering.features import Copier, FeatureCache

SIZE = 4 * 8  # bytes of a frame's features


class Guider:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, frame: int) -> Tensor:
        self.asked.append(frame)
        return torch.full((8,), float(frame))


def steps_of(features: FeatureCache, frames: int, steps: int) -> list[Tensor]:
    windows = uniform_windows(frames, 24, 4)
    return [features.stack(w.frames) for _ in range(steps) for w in windows]


def test_of_a_clip_beyond_the_budget_only_the_rest_is_worked_out_in_each_step() -> None:
    frames, held = 270, 240
    guider = Guider()
    features = FeatureCache(guider, budget=held * SIZE)
    steps_of(features, frames, 1)
    first = len(guider.asked)
    steps_of(features, frames, 2)
    again = (len(guider.asked) - first) / 2
    # Those that two windows share are asked for twice. Least recently used had all anew.
    assert frames <= first <= frames + 2 * 4 * 2
    assert frames - held <= again <= 2 * (frames - held)


def test_a_clip_within_the_budget_is_worked_out_once() -> None:
    guider = Guider()
    steps_of(FeatureCache(guider, budget=240 * SIZE), 240, 3)
    assert sorted(guider.asked) == list(range(240))


def test_what_is_remembered_is_what_was_worked_out() -> None:
    kept = steps_of(FeatureCache(Guider()), 60, 2)
    forgotten = steps_of(FeatureCache(Guider(), budget=0), 60, 2)
    assert all(torch.equal(a, b) for a, b in zip(kept, forgotten, strict=True))


def test_features_stay_on_a_device_that_has_room_and_go_to_the_host_beyond_it() -> None:
    guider = Guider()
    features = FeatureCache(lambda frame: guider(frame).to("meta"), budget=0, near=2 * SIZE)
    features.stack(range(5))
    features.stack(range(5))
    assert guider.asked == [0, 1, 2, 3, 4, 2, 3, 4]


def test_what_the_next_window_needs_is_on_its_way_while_one_is_predicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[set[int]] = []
    begin = Copier.begin

    def watched(
        self: Copier, resting: dict[int, Tensor], here: dict[int, Tensor], to: torch.device
    ) -> None:
        begun.append(resting.keys() - here.keys())
        begin(self, resting, here, to)

    monkeypatch.setattr(Copier, "begin", watched)
    cut = [set(window.frames) for window in uniform_windows(60, 24, 4)]
    with two_devices():
        guider = Guider()
        features = FeatureCache(lambda frame: guider(frame).to(FAR), near=0)
        for _ in range(2):
            for window in cut:
                found = features.stack(sorted(window), torch.zeros(1).to(FAR))
                assert found.device == FAR
                assert found.cpu()[:, 0].tolist() == sorted(window)
    told = [after - at for at, after in zip(cut, [*cut[1:], cut[0]], strict=True)]
    assert not any(begun[: len(cut)])  # the first step only learns the order
    assert begun[len(cut) :] == told
    assert sorted(guider.asked) == list(range(60))  # all from what is kept
