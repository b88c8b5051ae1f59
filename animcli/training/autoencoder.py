"""Training task of a small variational autoencoder, diffusers' AutoencoderKL.

Source: Rombach et al., arXiv:2112.10752, section 3.1, without the adversarial and
perceptual losses, which take networks trained on millions of photographs: squared error
decides the colours, the absolute error of differences between neighbouring pixels keeps
outlines, eyes and mouths from going soft, and a small KL term keeps latents near a normal
distribution.

Shapes: b pictures, h and w pixels (multiples of 8).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from animcli.settings import setting
from animcli.training.denoising import picture_metrics
from animcli.training.samples import Sample
from animcli.training.trainer import Evaluation

TINY_VAE: Final[Mapping[str, Any]] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [16, 32, 64, 96],
    "layers_per_block": 1,
    "latent_channels": 16,
    "norm_num_groups": 2,
    "mid_block_add_attention": False,
    "sample_size": 256,
}
"""1.7 million parameters, 256 x 256 x 3 to 32 x 32 x 16."""

CROPS: Final = 2  # of a sample


@dataclass(frozen=True)
class AutoencoderRecipe:
    """Batches and loss of an autoencoder."""

    samples: int = setting(2, "Samples of an update; each gives two crops.", low=1)
    crop: int = setting(128, "Pixels of a crop, across and down.", low=32, multiple=8)
    figure: float = setting(4.0, "Weight of the figure in the squared error.", low=1)
    edges: float = setting(0.05, "Weight of the error of differences of neighbours.", low=0)
    kl: float = setting(1e-5, "Weight of the KL term, for each latent value.", low=0)
    decoder_only: bool = setting(
        False, "Leave the encoder as it is, and so the latents of prepared samples."
    )
    _: KW_ONLY
    evaluated: int = setting(32, "Samples of an evaluation.", low=1)


def open_vae(config: Mapping[str, Any] = TINY_VAE) -> nn.Module:
    """An AutoencoderKL to be trained from nothing.

    Convolutions keep the variance, residual branches begin with zeros and the posterior
    nearly without noise: with torch's usual weights colours get lost on the way, and are
    learned only after thousands of updates.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.resnet import ResnetBlock2D

    vae: nn.Module = AutoencoderKL.from_config(dict(config))
    for module in vae.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            nn.init.zeros_(module.get_parameter("bias"))
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.get_parameter("bias"))
    bias = vae.get_parameter("quant_conv.bias").data
    bias[len(bias) // 2 :] = FIRST_LOG_VARIANCE
    return vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


FIRST_LOG_VARIANCE: Final = -5.0


@dataclass(frozen=True)
class CropDataset(Dataset[Tensor]):
    """Batch number -> crops (b, 4, c, c) uint8: RGB, then the figure's mask."""

    sample: Callable[[int], Sample]
    recipe: AutoencoderRecipe
    seed: int

    def __getitem__(self, number: int) -> Tensor:
        first = number * self.recipe.samples
        crops = [
            self._crops(self.sample(n), np.random.default_rng([self.seed, n]))
            for n in range(first, first + self.recipe.samples)
        ]
        planes = torch.from_numpy(np.concatenate(crops)).permute(0, 3, 1, 2)
        return planes.contiguous(memory_format=torch.channels_last)

    def _crops(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Crops of random frames, some mirrored, in other colours or with noise."""
        side, crops = self.recipe.crop, list[NDArray[np.uint8]]()
        for _ in range(CROPS):
            n = int(rng.integers(len(sample.frames)))
            frame = sample.frames[n]
            top, left = (int(rng.integers(each - side + 1)) for each in frame.shape[:2])
            place = (slice(top, top + side), slice(left, left + side))
            picture = frame[place].astype(np.float64)
            if rng.random() < 0.15:  # other contrast and colours
                gain, shift = rng.uniform(0.5, 1.4), rng.normal(0, 20, 3)
                picture = (picture - 128) * gain + 128 + shift
            if rng.random() < 0.1:
                picture = picture + rng.normal(0, rng.uniform(2, 12), picture.shape)
            mask = (
                np.zeros((side, side)) if sample.masks is None else sample.masks[n][place]
            )
            planes = np.dstack([picture, mask]).clip(0, 255).astype(np.uint8)
            crops.append(planes[:, ::-1] if rng.random() < 0.5 else planes)
        return np.stack(crops)


@dataclass(eq=False)
class AutoencoderTask:
    """Reconstruction of crops of pictures.

    sample: number of a sample -> the sample. validation: pictures (b, 3, h, w) in -1..1.
    """

    model: nn.Module
    sample: Callable[[int], Sample]
    validation: Tensor
    recipe: AutoencoderRecipe
    seed: int

    @property
    def samples(self) -> int:
        """Crops of an update."""
        return CROPS * self.recipe.samples

    @property
    def dataset(self) -> Dataset[Tensor]:
        """Batches of crops by their number."""
        return CropDataset(self.sample, self.recipe, self.seed)

    def loss(self, batch: Tensor, rng: torch.Generator) -> Tensor:
        """Reconstruction error and KL divergence, a scalar."""
        planes = batch.to(next(self.model.parameters()).device)
        pictures = planes[:, :3].float() / 127.5 - 1
        posterior = self.model.encode(pictures).latent_dist  # type: ignore[operator]
        noise = torch.randn(posterior.mean.shape, generator=rng).to(posterior.mean)
        decoded = self.model.decode(posterior.mean + posterior.std * noise).sample  # type: ignore[operator]
        return self.error(decoded.float(), pictures, planes[:, 3:].float() / 255) + (
            self.recipe.kl * posterior.kl().mean() / posterior.mean[0].numel()
        )

    def error(self, decoded: Tensor, pictures: Tensor, masks: Tensor) -> Tensor:
        """Squared error and error of neighbours' differences, a scalar."""
        weight = (1 + (self.recipe.figure - 1) * masks) / 2
        squared = (weight * (decoded - pictures).square()).mean()
        edges = (differences(decoded) - differences(pictures)).abs().mean()
        return squared + self.recipe.edges * edges

    def evaluate(self) -> Evaluation:
        """Reconstruction of pictures that it hasn't seen."""
        device = next(self.model.parameters()).device
        decoded, deviations, means = [], [], []
        for picture in self.validation[:, None]:
            posterior = self.model.encode(picture.to(device)).latent_dist  # type: ignore[operator]
            decoded.append(self.model.decode(posterior.mean).sample)  # type: ignore[operator]
            means.append(posterior.mean)
            deviations.append(posterior.std)
        made = torch.cat(decoded).float().cpu().clamp(-1, 1)
        figures = picture_metrics(made, self.validation, "")
        figures["latent_deviation"] = float(torch.cat(means).std())
        figures["posterior_deviation"] = float(torch.cat(deviations).mean())
        return Evaluation(figures, (self.validation, made))


def differences(x: Tensor) -> Tensor:
    """Differences of neighbours, across and down, side by side: (b, 6, h - 1, w - 1)."""
    across = x[..., :-1, 1:] - x[..., :-1, :-1]
    down = x[..., 1:, :-1] - x[..., :-1, :-1]
    return torch.cat([across, down], dim=1)


def vae_files(model: nn.Module, scaling_factor: float) -> dict[str, Any]:
    """Files of an autoencoder's folder in diffusers' layout.

    scaling_factor: 1 over the deviation of its latents.
    """
    config = {**json.loads(model.to_json_string()), "scaling_factor": scaling_factor}  # type: ignore[operator]
    return {
        "vae/config.json": config,
        "vae/diffusion_pytorch_model.safetensors": model.state_dict(),
    }
