"""A network may be compiled before it is used."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import TINY, random, write_tiny_weights
from builders.tiny_renders import PRESET, render, request

from animcli.errors import DeviceError
from animcli.networks.unet import UNet
from animcli.rendering import compiling
from animcli.rendering.animate_anyone import predictor
from animcli.rendering.compiling import KEPT_IN, compile_blocks
from animcli.rendering.context import ContextWindow
from animcli.rendering.features import FeatureCache
from animcli.rendering.guidance import Guidance
from animcli.rendering.loading import check_compiler
from animcli.rendering.memory import MemoryPlan

CPU = torch.device("cpu")


def test_a_machine_without_a_compiler_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DeviceError, match=r"takes a C\+\+ compiler"):
        check_compiler(CPU)


class Eager:
    """A compiler that compiles nothing, and counts what it is given."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: object) -> object:
        self.graphs += 1
        return graph.forward


@pytest.mark.filterwarnings("ignore")  # of torch's own, while it traces
def test_blocks_are_compiled_in_the_first_window_for_all_shapes_that_come() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    compiler, unet = Eager(), random(UNet(TINY.unet)).eval().requires_grad_(False)
    compile_blocks(unet, CPU, backend=compiler)
    interval = Guidance(2.0, stop=0.5)  # from the third step on one row is enough
    token, text = torch.randn(1, 1, 8), torch.randn(1, 4, 64, 16)
    shown = {
        path: torch.randn(1, 64, 16)
        for path in unet.cache_kv(token)
        if path.startswith("up")
    }
    step_fn = predictor(
        unet, token, shown, FeatureCache(lambda frame: torch.zeros(16, 8, 8)), interval,
        4, MemoryPlan(cfg_batch=True, warm=True),
    )  # fmt: skip
    window = ContextWindow(tuple(range(5)), (1.0,) * 5)
    counts = []
    with torch.inference_mode():
        for step in range(4):
            step_fn(step, torch.tensor(500), text)(torch.randn(5, 4, 8, 8), window)
            counts.append(compiler.graphs)
    assert counts[0] > 3  # blocks of several kinds and shapes
    assert counts == [counts[0]] * 4  # and no other one later
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore")  # of torch's own, while it traces
def test_compiled_blocks_meet_no_tensor_of_another_device() -> None:
    """On meta: the pretended device works by a mode, under which nothing is compiled."""
    torch._dynamo.reset()
    compiler, there = Eager(), torch.device("meta")
    with there:
        unet = UNet(TINY.unet).eval().requires_grad_(False)
        latents, token = torch.randn(5, 4, 8, 8), torch.randn(1, 1, 8)
        preset = replace(PRESET, guidance_stop=0.5)
        step_fn = TINY.rehearse(preset, [unet], latents)
    compile_blocks(unet, there, backend=compiler)
    window = ContextWindow(tuple(range(5)), (1.0,) * 5)
    with torch.inference_mode():
        for step in range(PRESET.steps):
            said = step_fn(step, torch.tensor(500), latents)(latents, window)
            assert said.device == there
        assert compiler.graphs > 3
        with pytest.raises(RuntimeError):  # and it would be seen
            unet(latents.transpose(0, 1)[None], torch.tensor(500), unet.cache_kv(token),
                 pose=torch.zeros(1, 16, 5, 8, 8))  # fmt: skip
    torch._dynamo.reset()


def test_what_was_compiled_is_kept_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(KEPT_IN, raising=False)
    monkeypatch.setattr(compiling, "check_compiler", lambda device: None)
    compile_blocks(torch.nn.Linear(1, 1), CPU)
    assert os.environ[KEPT_IN].endswith("compiled")
    monkeypatch.setenv(KEPT_IN, "elsewhere")
    compile_blocks(torch.nn.Linear(1, 1), CPU)
    assert os.environ[KEPT_IN] == "elsewhere"


@pytest.mark.slow  # a C++ compiler works for the better part of a minute
@pytest.mark.filterwarnings("ignore")  # of torch's own, while it compiles
def test_a_compiled_network_makes_the_same_frames_within_rounding(tmp_path: Path) -> None:
    try:
        check_compiler(CPU)
    except DeviceError as error:
        pytest.skip(str(error))
    asked = request(write_tiny_weights(tmp_path), 5, replace(PRESET, steps=2))
    plain = render(asked).astype(int)
    compiled = render(replace(asked, preset=replace(asked.preset, compiled=True)))
    # One shade: sums are taken in another order, and a picture is rounded to 255 shades.
    np.testing.assert_allclose(compiled, plain, atol=1)
