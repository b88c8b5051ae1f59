"""A picture is decoded whole where memory allows, else in large tiles; never black."""

from typing import Any

import numpy as np
import pytest
import torch
from builders.tiny_networks import VAE
from builders.tiny_renders import Kept
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn

from animcli.errors import DeviceError
from animcli.rendering import vae
from animcli.rendering.vae import (
    DECODED,
    MAX_UNTILED,
    VAE_TILES,
    Autoencoder,
    decode_frames,
)


@pytest.fixture
def network() -> AutoencoderKL:
    torch.manual_seed(0)
    # As published, its configuration says 256 pixels, which would be the size of a tile.
    return AutoencoderKL.from_config({**VAE, "sample_size": 256}).eval()


def tiles(monkeypatch: pytest.MonkeyPatch, network: AutoencoderKL, side: int) -> int:
    """How many tiles a square picture is decoded in."""
    sizes: list[torch.Size] = []
    decode = network.decoder.forward

    def counted(x: torch.Tensor, *given: object) -> torch.Tensor:
        sizes.append(x.shape)
        return decode(x, *given)

    monkeypatch.setattr(network.decoder, "forward", counted)
    picture = Autoencoder(network).decode(torch.randn(4, side // 8, side // 8))
    assert picture.shape == (3, side, side)
    assert all(size[-1] <= VAE_TILES[0] // 8 or len(sizes) == 1 for size in sizes)
    return len(sizes)


def test_a_cpu_takes_a_megapixel_whole_and_more_in_large_tiles(
    monkeypatch: pytest.MonkeyPatch, network: AutoencoderKL
) -> None:
    assert tiles(monkeypatch, network, 1024) == 1
    assert tiles(monkeypatch, network, 1280) == 9  # 49 with tiles of 256


def test_a_device_with_memory_takes_any_picture_whole(
    monkeypatch: pytest.MonkeyPatch, network: AutoencoderKL
) -> None:
    needed = 1280**2 * DECODED * 4
    monkeypatch.setattr(vae, "free_on", lambda device: 2 * needed)
    assert tiles(monkeypatch, network, 1280) == 1
    monkeypatch.setattr(vae, "free_on", lambda device: needed)
    assert tiles(monkeypatch, network, 1280) == 9
    assert MAX_UNTILED < 1280**2


class Cramped:
    """A network whose calls for too long a side find no memory."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, network: AutoencoderKL, longest: int
    ) -> None:
        self.sides: list[int] = []
        self.longest = longest
        decode = network.decoder.forward

        def counted(x: torch.Tensor, *given: object) -> torch.Tensor:
            self.sides.append(8 * max(x.shape[-2:]))
            if self.sides[-1] > self.longest:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")
            return decode(x, *given)

        monkeypatch.setattr(network.decoder, "forward", counted)


def test_a_frame_without_memory_is_decoded_in_tiles_and_no_step_is_lost(
    monkeypatch: pytest.MonkeyPatch, network: AutoencoderKL
) -> None:
    cramped, kept, said = Cramped(monkeypatch, network, 600), Kept(), list[str]()
    kept.save({"done": np.asarray(3)})
    latents = torch.randn(2, 4, 8, 100, generator=torch.Generator().manual_seed(0))
    source = decode_frames(network, "frame", latents, kept, note=said.append)
    frames = list(source(range(2)))
    assert frames[0].shape == (64, 800, 3)
    assert cramped.sides[:2] == [800, 768]
    assert max(cramped.sides[2:]) == 512  # of both frames, after two tries
    assert said == [
        f"memory ended: frames are decoded in tiles of {side} pixels from here on"
        for side in VAE_TILES
    ]
    assert kept.arrays is not None
    assert (int(kept.arrays["done"]), int(kept.arrays["tile"])) == (3, 512)
    cramped.sides.clear()
    cramped.longest = 4096  # a render that was stopped goes on with the same tiles
    again = list(decode_frames(network, "frame", latents, kept)(range(2)))
    assert np.array_equal(again, frames)
    assert max(cramped.sides) == 512


def test_where_not_even_a_small_tile_fits_the_steps_stay(
    monkeypatch: pytest.MonkeyPatch, network: AutoencoderKL
) -> None:
    Cramped(monkeypatch, network, 0)
    source = decode_frames(network, "frame", torch.zeros(1, 4, 80, 80), Kept())
    with pytest.raises(DeviceError, match="out of memory while decoding") as caught:
        next(source(range(1)))
    assert "no step is lost" in caught.value.hint


@pytest.fixture
def overflowing(network: AutoencoderKL, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Its half precision holds no latents or pixels of 9; the dtypes that it worked in."""
    used: list[Any] = []

    def limit(part: nn.Module) -> None:
        forward = part.forward

        def limited(x: torch.Tensor, *given: object) -> torch.Tensor:
            used.append(x.dtype)
            made = forward(x, *given)
            too_much = x.dtype != torch.float32 and x.max() > 1
            return torch.full_like(made, torch.nan) if too_much else made

        monkeypatch.setattr(part, "forward", limited)

    limit(network.decoder)
    limit(network.encoder)
    return used


def test_only_a_frame_that_overflows_is_decoded_in_full_precision(
    network: AutoencoderKL, overflowing: list[Any]
) -> None:
    nn.Module.to(network, torch.bfloat16)
    at_home = network.decoder.conv_in.weight.data_ptr()
    half, full = torch.bfloat16, torch.float32
    latents = torch.zeros(3, 4, 8, 8)
    latents[1] = 9.0
    autoencoder = Autoencoder(network)
    frames = [autoencoder.picture(each) for each in latents]
    assert overflowing == [half, half, full, half]
    assert network.decoder.conv_in.weight.data_ptr() == at_home
    assert np.array_equal(frames[0], frames[2])  # whatever came between
    network.float()
    assert np.array_equal(frames[1], autoencoder.picture(latents[1]))


def test_a_reference_that_overflows_is_encoded_in_full_precision(
    network: AutoencoderKL, overflowing: list[Any]
) -> None:
    nn.Module.to(network, torch.bfloat16)

    def limited(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
        return torch.full((1, 3, *picture.shape[:2]), 9.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae, "to_signed", limited)
        latents = Autoencoder(network).encode(np.zeros((64, 64, 3), np.uint8))
    assert torch.isfinite(latents).all()
    assert overflowing == [torch.bfloat16, torch.float32]


def test_a_damaged_autoencoder_makes_no_black_frame(network: AutoencoderKL) -> None:
    network.decoder.conv_out.bias.data.fill_(torch.inf)
    with pytest.raises(DeviceError, match="overflowed") as caught:
        Autoencoder(network).picture(torch.zeros(4, 8, 8))
    assert "anim weights verify" in caught.value.hint
