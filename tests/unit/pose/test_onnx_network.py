"""ONNX Runtime is believed only what it does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from animcli.errors import DeviceError

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is an extra")
from animcli.pose.detectors import onnx  # noqa: E402
from animcli.pose.detectors.onnx import (  # noqa: E402
    OnnxNetwork,
    best_onnx_device,
    identity_model,
    load_cuda_libraries,
)


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """What was tried is tried again."""
    for remembered in (best_onnx_device, load_cuda_libraries):
        remembered.cache_clear()
    yield
    for remembered in (best_onnx_device, load_cuda_libraries):
        remembered.cache_clear()


@pytest.fixture
def claimed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A build that names CUDA among its providers, without a driver for it."""
    done: list[str] = []
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(
        onnxruntime,
        "preload_dlls",
        lambda: done.append("preloaded"),
        raising=False,
    )
    return done


def test_the_smallest_model_gives_back_what_it_is_given() -> None:
    session = onnxruntime.InferenceSession(
        identity_model(), providers=["CPUExecutionProvider"]
    )
    (given,) = session.run(None, {"x": np.array([1.5], np.float32)})
    assert given.tolist() == [1.5]


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_build_for_cuda_that_does_not_run_there_is_not_the_best_device(
    claimed: list[str],
) -> None:
    assert best_onnx_device() == "cpu"
    assert claimed == ["preloaded"]  # libraries out of Python packages were tried


def test_where_cuda_runs_it_is_the_best_device(
    claimed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "provider_for", lambda wish: wish)
    assert best_onnx_device() == "cuda"


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_cuda_that_was_asked_for_and_does_not_run_is_an_error_about_the_detector_only(
    claimed: list[str], tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(identity_model())
    with pytest.raises(DeviceError, match="was to run on cuda") as caught:
        OnnxNetwork(model, "cuda:0", 1).run_once(np.array([1.5], np.float32))
    assert "--detector-device cpu" in caught.value.hint
    assert claimed == ["preloaded"]


def test_another_kind_of_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="not on mps"):
        OnnxNetwork(tmp_path / "model.onnx", "mps", 1)


def test_auto_on_a_cpu_although_built_for_cuda_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from animcli.cli.config import Options
    from animcli.cli.detector import detector_note

    monkeypatch.setattr(onnx, "built_for_cuda", lambda: True)
    monkeypatch.setattr(onnx, "best_onnx_device", lambda: "cpu")
    note = detector_note(Options(detector="dwpose"))
    assert note.startswith("dwpose runs on the CPU: ONNX Runtime's CUDA doesn't work")
    assert detector_note(Options(detector="dwpose", detector_device="cpu")) == ""
    monkeypatch.setattr(onnx, "best_onnx_device", lambda: "cuda")
    assert detector_note(Options(detector="dwpose")) == ""
