"""Precision follows the device, and running out of memory is known by what torch says."""

import pytest
import torch

from animcli.errors import DeviceError
from animcli.rendering.loading import (
    dtype_on,
    is_out_of_memory,
    memory_remedy,
    open_device,
    pinned,
    use_tensor_cores,
    vae_dtype,
)

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def capability(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A card of that compute capability."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: request.param)


@pytest.mark.parametrize(
    ("device", "dtype"), [(CPU, torch.float32), (CUDA, torch.float16), (MPS, torch.float16)]
)
def test_auto_is_half_precision_where_there_is_arithmetic_for_it(
    device: torch.device, dtype: torch.dtype
) -> None:
    assert dtype_on(device, "auto") == dtype


@pytest.mark.parametrize("capability", [(7, 0), (7, 5)], indirect=True)
@pytest.mark.usefixtures("capability")
def test_a_card_before_ampere_refuses_bfloat16_and_names_float16() -> None:
    with pytest.raises(DeviceError, match=r"compute capability 7\.[05]") as caught:
        dtype_on(CUDA, "bfloat16")
    assert "float16" in caught.value.hint
    assert dtype_on(CUDA, "float16") == torch.float16


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], indirect=True)
@pytest.mark.usefixtures("capability")
def test_bfloat16_works_from_ampere_on() -> None:
    assert dtype_on(CUDA, "bfloat16") == torch.bfloat16


def test_only_float32_on_cuda_is_multiplied_in_tf32() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        use_tensor_cores(CPU, torch.float32)
        use_tensor_cores(CUDA, torch.float16)
        assert torch.get_float32_matmul_precision() == before
        use_tensor_cores(CUDA, torch.float32)
        assert torch.get_float32_matmul_precision() == "high"
        use_tensor_cores(CUDA, torch.float16)  # Cinemo's autoencoder is in float32 there
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_autoencoder_never_works_in_bfloat16() -> None:
    assert vae_dtype(CPU, torch.bfloat16) == torch.float32
    assert vae_dtype(CUDA, torch.bfloat16) == torch.float16
    assert vae_dtype(CUDA, torch.float32) == torch.float32


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "Unable to find an engine to execute this computation",
        "MPS backend out of memory (MPS allocated: 8 GB)",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
    ],
)
def test_every_way_to_say_that_memory_has_ended_is_known(said: str) -> None:
    assert is_out_of_memory(RuntimeError(said))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_advised_for_lack_of_memory_helps_on_that_device(
    dtype: torch.dtype,
) -> None:
    assert "bfloat16" not in memory_remedy(CUDA, dtype)  # which half of the cards lack
    assert ("--dtype float16" in memory_remedy(CUDA, dtype)) is (dtype == torch.float32)
    assert "--offload" in memory_remedy(CUDA, dtype)
    assert "--offload" not in memory_remedy(CPU, dtype)
    assert "--cfg-batch" not in memory_remedy(CPU, dtype)
    assert "--dtype bfloat16" in memory_remedy(CPU, torch.float32)
    assert "--dtype" not in memory_remedy(CPU, torch.bfloat16)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Two cards; those that became the current one."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


def test_a_card_that_was_named_is_the_current_one(cards: list[torch.device]) -> None:
    assert open_device("cuda") == CUDA
    assert cards == []
    assert open_device("cuda:1") == torch.device("cuda", 1)
    assert cards == [torch.device("cuda", 1)]  # pinned memory is made for that
    with pytest.raises(DeviceError, match="no device cuda:2: there are 2"):
        open_device("cuda:2")


def test_cards_that_a_variable_hides_are_told_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(DeviceError, match="left by CUDA_VISIBLE_DEVICES=7"):
        open_device("cuda")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(DeviceError, match="no CUDA device here, or a torch without"):
        open_device("cuda")


def test_where_no_memory_can_be_pinned_it_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = ["CUDA error: out of memory", "CUDA error: device-side assert triggered"]

    def full(tensor: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(said[0])

    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: False)
    monkeypatch.setattr(torch.Tensor, "pin_memory", full)
    tensor = torch.zeros(2)
    assert pinned(tensor) is tensor
    del said[0]
    with pytest.raises(RuntimeError, match="assert"):
        pinned(tensor)
