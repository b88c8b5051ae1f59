"""A picture is decoded whole where memory allows, else in few large tiles."""

import pytest
import torch
from builders.tiny_networks import VAE
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from animcli.rendering import vae
from animcli.rendering.vae import DECODED, MAX_UNTILED, VAE_TILE, Autoencoder


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
    assert all(size[-1] <= VAE_TILE // 8 or len(sizes) == 1 for size in sizes)
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
