"""Memory and work of Wan's presets from shapes, and what leaves the device for room."""

from dataclasses import replace

import pytest
import torch
from builders.tiny_wan import PRESET

from animcli.errors import DeviceError
from animcli.rendering.newest import wan_memory
from animcli.rendering.newest.wan_memory import WanShape, choose_offload, estimate_wan

WAN = replace(PRESET, width=480, height=832, segment=77, steps=20, dtype="bfloat16")
CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("free", "offload"),
    [(140, "none"), (80, "none"), (24, "blocks"), (16, "blocks")],
)
def test_the_first_that_fits_is_chosen(
    free: float, offload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wan_memory, "free_on", lambda device: int(free * 1e9))
    assert choose_offload("auto", WanShape(), WAN, CUDA) == offload
    assert choose_offload("layers", WanShape(), WAN, CUDA) == "layers"


def test_too_little_for_what_is_beside_the_network_is_refused_with_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wan_memory, "free_on", lambda device: int(2e9))
    with pytest.raises(DeviceError, match=r"needs .* GB beside its network"):
        choose_offload("auto", WanShape(), WAN, CUDA)


def test_a_cpu_keeps_everything() -> None:
    assert choose_offload("auto", WanShape(), WAN, torch.device("cpu")) == "none"


def test_a_plan_counts_segments_calls_and_work() -> None:
    plan = estimate_wan(WanShape(), WAN, 77 + 76, "cuda", "auto")
    assert (plan.windows, plan.calls, plan.runs, plan.steps) == (2, 40, 2, 20)
    assert plan.work == pytest.approx(40 * 1.66e15, rel=0.01)
    assert plan.networks == pytest.approx(35.1e9, rel=0.01)
    assert "2 segments of 77" in plan.summary()
    assert "PFLOP, on an H100 about 171 s" in plan.summary()
    guided = estimate_wan(WanShape(), replace(WAN, guidance=2.0), 77, "cuda", "auto")
    assert guided.calls == 40


def test_blocks_leave_two_of_them_on_the_device() -> None:
    whole, blocks = (
        estimate_wan(WanShape(), WAN, 77, "cuda", offload) for offload in ("none", "blocks")
    )
    assert blocks.networks < whole.networks / 10
    assert blocks.features == whole.features
