"""A network may be compiled before it is used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import write_tiny_weights
from builders.tiny_renders import PRESET, render, request

from animcli.errors import DeviceError
from animcli.rendering.loading import check_compiler

CPU = torch.device("cpu")


def test_a_machine_without_a_compiler_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DeviceError, match=r"takes a C\+\+ compiler"):
        check_compiler(CPU)


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
