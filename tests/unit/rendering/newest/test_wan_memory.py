"""Memory and work of Wan's presets from shapes, and what leaves the device for room."""

from dataclasses import replace

import pytest
import torch
from builders.tiny_wan import PRESET

from animcli.errors import DeviceError
from animcli.rendering.loading import USABLE
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


@pytest.mark.parametrize(
    ("free", "quantise", "offload"),
    [
        (66, "none", "none"), (60, "none", "networks"), (54, "none", "networks"),
        (22, "none", "blocks"), (16, "none", "blocks"), (12, "none", "layers"),
        (24, "gguf", "networks"),
    ],
)  # fmt: skip
def test_a_network_leaves_for_what_decoding_needs(
    free: float, quantise: str, offload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 720 by 1280 a step takes 8.1 GB, and decoding 17.4; below 22 frames are cut."""
    large = replace(WAN, width=720, height=1280, quantise=quantise)
    monkeypatch.setattr(wan_memory, "free_on", lambda device: int(free * 1e9))
    assert choose_offload("auto", WanShape(), large, CUDA) == offload


def test_the_choice_keeps_to_what_the_plan_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = {
        offload: estimate_wan(WanShape(), WAN, 77, "cuda", offload)
        for offload in ("none", "networks", "blocks")
    }
    assert plans["none"].decoding - plans["blocks"].decoding == WanShape().weights(WAN)
    assert plans["networks"].decoding == plans["blocks"].decoding
    for offload, other in (("none", "networks"), ("networks", "blocks")):
        enough = plans[offload].memory / USABLE
        for free, chosen in ((enough + 10, offload), (enough - 10, other)):
            monkeypatch.setattr(wan_memory, "free_on", lambda device: int(free))  # noqa: B023
            assert choose_offload("auto", WanShape(), WAN, CUDA) == chosen


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
