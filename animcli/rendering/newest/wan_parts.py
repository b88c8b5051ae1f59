"""Parts that Wan's two systems share: those in a diffusers folder, text, pictures, VAE.

Networks and their loading are diffusers' and transformers'; both want `accelerate`, and the
cleaning of prompts wants `ftfy` (extra `newest`). Nothing heavy is imported before a part
is opened.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from animcli.errors import DeviceError, PresetError, WeightsError
from animcli.presets import Preset
from animcli.registry import WAN_PACKAGES
from animcli.rendering.animate_anyone import CLIP_DEVIATION, CLIP_MEAN, CLIP_SIDE
from animcli.rendering.kept import kept_by_content
from animcli.rendering.loading import dtype_on, free_memory, is_out_of_memory
from animcli.rendering.preview import fit_colours
from animcli.rendering.renderer import Checkpoint
from animcli.rendering.schedulers import FLOW_SAMPLERS, FlowSchedule, Scheduler
from animcli.rendering.vae import DAMAGED, NO_ROOM, VAE_OVERFLOW, to_unit

PROMPT_TOKENS: Final = 512
"""Rows of a prompt's embedding. The networks take the text to begin at "length - 512", so
that fewer give wrong attention without an error."""

SIDE_MULTIPLE: Final = 16
"""Pixels that both sides of a frame are a multiple of."""

EXTRA: Final = "pip install 'animcli[newest]'"


def library_class(module: str, name: str) -> Any:
    """A class of diffusers or transformers.

    Raises DeviceError where the installed version has none of that name.
    """
    package = module.partition(".")[0]
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        try:
            there = f"{package} {version(package)}"
        except PackageNotFoundError:
            there = f"no {package} at all"
        raise DeviceError(f"{name} isn't in the libraries here: {there}", EXTRA) from error


def check_libraries() -> None:
    """Raise DeviceError where a package is absent that only these renderers want."""
    for package in WAN_PACKAGES:
        if find_spec(package) is None:
            raise DeviceError(f"the package {package} isn't installed", EXTRA)


def check_preset(preset: Preset) -> None:
    """Raise PresetError for a size or sampler that Wan's networks can't work with."""
    wrong = [side for side in (preset.width, preset.height) if side % SIDE_MULTIPLE]
    if wrong:
        near = "x".join(
            str(max(round(side / SIDE_MULTIPLE), 1) * SIDE_MULTIPLE)
            for side in (preset.width, preset.height)
        )
        raise PresetError(
            f"{preset.width}x{preset.height}: {preset.renderer} wants "
            f"multiples of {SIDE_MULTIPLE}",
            f"the nearest size is {near}",
        )
    if preset.sampler not in FLOW_SAMPLERS:
        raise PresetError(
            f"the sampler {preset.sampler} doesn't go along a flow, as {preset.renderer}",
            f"--sampler {FLOW_SAMPLERS[0]}",
        )


def solver_of(preset: Preset) -> Scheduler:
    """A new run of the preset's sampler."""
    return Scheduler(preset.sampler, FlowSchedule(preset.shift), preset.steps, preset.seed)


def open_part(
    kind: Any, folder: Path, part: str, dtype: torch.dtype, device: torch.device
) -> Any:
    """A network out of a diffusers folder, ready for inference.

    Raises WeightsError where the folder has no such part, or not all of it.
    """
    place = folder / part
    if not (place / "config.json").is_file():
        raise WeightsError(
            f"{folder} has no {part}", "a diffusers folder has: model_index.json beside it"
        )
    try:
        loaded, about = kind.from_pretrained(
            str(place), torch_dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise WeightsError(f"{place} can't be read: {first}", "get it again") from error
    if lacking := sorted(about["missing_keys"]):
        raise WeightsError(
            f"{place}: {len(lacking)} tensors are missing (first: {lacking[0]})",
            "get it again",
        )
    network: nn.Module = loaded
    network.requires_grad_(False)
    return network.eval().to(device)


def open_wan_vae(folder: Path, device: torch.device) -> Any:
    """The autoencoder over time, in float32: its 127 million parameters are no burden."""
    kind = library_class(
        "diffusers.models.autoencoders.autoencoder_kl_wan", "AutoencoderKLWan"
    )
    return open_part(kind, folder, "vae", torch.float32, device)


@torch.no_grad()
def encode_wan_prompts(
    folder: Path,
    prompts: Sequence[str],
    device: torch.device,
    dtype: torch.dtype,
    *,
    cleaned: bool,
) -> NDArray[np.float32]:
    """Embeddings of prompts by the encoder umt5-xxl, `(prompts, 512, width)` float32.

    cleaned: whether broken letters and spaces are mended first, by `ftfy`.
    Rows beyond a prompt's end are zero. The encoder is gone from memory afterwards.
    """
    check_libraries()
    kind = library_class("transformers.models.umt5.modeling_umt5", "UMT5EncoderModel")
    tokenizer = library_class("transformers", "AutoTokenizer").from_pretrained(
        str(folder / "tokenizer"), local_files_only=True
    )
    encoder = open_part(kind, folder, "text_encoder", dtype, device)
    if cleaned:
        clean = library_class(
            "diffusers.pipelines.wan.pipeline_wan_animate", "prompt_clean"
        )
        prompts = [clean(prompt) for prompt in prompts]
    found = []
    for prompt in prompts:
        words = tokenizer(
            [prompt],
            padding="max_length",
            max_length=PROMPT_TOKENS,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        mask = words.attention_mask
        states = encoder(words.input_ids.to(device), mask.to(device)).last_hidden_state
        states[:, int(mask.sum()) :] = 0
        found.append(states.float().cpu())
    return torch.cat(found).numpy()


@torch.no_grad()
def encode_clip_image(
    folder: Path, pixels: Tensor, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """CLIP's next to last hidden states (1, tokens, width) of pixels (1, 3, h, w) in -1..1.

    The whole picture is squashed to a square, as the authors do. Differs from diffusers'
    pipeline for Wan-Animate, which cuts the middle out. In a process that does many renders
    the encoder is loaded once for a picture.
    """

    def work_out() -> dict[str, Tensor]:
        return {"states": _clip_states(folder, pixels, device, dtype)}

    files = sorted((folder / "image_encoder").glob("*"))
    return kept_by_content((*files, pixels, f"{device} {dtype}"), work_out)["states"]


def _clip_states(
    folder: Path, pixels: Tensor, device: torch.device, dtype: torch.dtype
) -> Tensor:
    kind = library_class("transformers.models.clip.modeling_clip", "CLIPVisionModel")
    encoder = open_part(kind, folder, "image_encoder", dtype, device)
    side = int(getattr(encoder.config, "image_size", CLIP_SIDE))
    small = F.interpolate(pixels.to(device), size=(side, side), mode="bicubic") * 0.5 + 0.5
    mean, deviation = (
        torch.tensor(x, device=device)[None, :, None, None]
        for x in (CLIP_MEAN, CLIP_DEVIATION)
    )
    small = ((small - mean) / deviation).to(dtype)
    return encoder(pixel_values=small, output_hidden_states=True).hidden_states[-2].cpu()


@torch.no_grad()
def decode_latents(vae: Any, latents: Tensor) -> Tensor:
    """Frames (1, 3, frames, height, width) in -1..1 of latents (f, c, h, w).

    The first of the latents is the reference's place, and shows nothing.
    """
    like = next(vae.parameters())
    clip = latents.transpose(0, 1)[None].to(like)
    mean, deviation = latent_statistics(vae, like)
    clip = clip / (1.0 / deviation) + mean
    return vae.decode(clip[:, :, 1:], return_dict=False)[0]


TILED: Final = "tiled"
"""Name of an empty checkpoint beside a render's: memory ended, frames are in tiles."""


def decode_in_memory(
    vae: Any, latents: Tensor, tiled: Checkpoint, note: Callable[[str], None]
) -> Tensor:
    """`decode_latents`, in tiles once memory ended, which `tiled` keeps.

    Raises DeviceError where tiles don't fit either, or frames aren't finite.
    """
    while True:
        vae.use_tiling = small = tiled.load() is not None
        try:
            found = decode_latents(vae, latents)
            if not torch.isfinite(found).all():
                raise DeviceError(VAE_OVERFLOW, DAMAGED)
            return found
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if small:
                raise DeviceError("out of memory while decoding", NO_ROOM) from error
        finally:
            vae.use_tiling = False  # pictures are encoded whole
        free_memory(next(vae.parameters()).device)
        tiled.save({})
        note("memory ended: frames are decoded in tiles from here on")


def latent_statistics(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (1, c, 1, 1, 1) of what the autoencoder's latents are."""
    mean, deviation = (
        torch.tensor(x).view(1, -1, 1, 1, 1).to(like)
        for x in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, deviation


@torch.no_grad()
def fit_wan_colours(vae: Any, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours of latents, as `fit_colours` finds them, by a picture (h, w, 3)."""
    like = next(vae.parameters())
    pixels = to_unit(picture)[:, :, None].to(like) * 2 - 1
    mean, deviation = latent_statistics(vae, like)
    latents = (vae.encode(pixels).latent_dist.mode() - mean) / deviation
    return fit_colours(latents[0, :, 0].float().cpu().numpy(), picture)


def on_black(
    pixels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """A reference (h, w, 3) with black where nothing of the character's picture is."""
    if alpha is None:
        return pixels
    shown = pixels.astype(np.float32) * (alpha[..., None] / np.float32(255))
    return shown.round().astype(np.uint8)


def wan_dtype(device: torch.device, precision: str) -> torch.dtype:
    """The dtype of the transformer; `auto` is bfloat16 on a GPU, as it was trained."""
    if precision == "auto":
        precision = "float32" if device.type == "cpu" else "bfloat16"
    return dtype_on(device, precision)


def check_package(name: str, wish: str) -> None:
    """Raise DeviceError where a package is absent that a wish takes."""
    if find_spec(name) is None:
        raise DeviceError(f"{wish} takes the package {name}", f"pip install {name}")


def open_transformer(
    kind: tuple[str, str],
    folder: Path,
    gguf: Path | None,
    quantise: str,
    dtype: torch.dtype,
    device: torch.device,
) -> Any:
    """The large network, whole or in fewer bits.

    kind: module and name of its class. gguf: the folder of a `.gguf` file of it.

    Raises DeviceError where a package is absent that knows the bits.
    """
    network = library_class(*kind)
    if quantise == "none":
        return open_part(network, folder, "transformer", dtype, device)
    check_package({"gguf": "gguf", "int8": "torchao"}[quantise], f"--quantise {quantise}")
    if quantise == "int8":
        config = library_class("diffusers", "TorchAoConfig")
        weight_only = library_class("torchao.quantization", "Int8WeightOnlyConfig")
        opened = network.from_pretrained(
            str(folder / "transformer"),
            torch_dtype=dtype,
            quantization_config=config(weight_only()),
            local_files_only=True,
        )
    else:
        files = sorted(gguf.glob("*.gguf")) if gguf is not None else []
        if len(files) != 1:
            raise WeightsError(f"{gguf} holds {len(files)} .gguf files", "give one of them")
        config = library_class("diffusers", "GGUFQuantizationConfig")
        opened = network.from_single_file(
            str(files[0]),
            quantization_config=config(compute_dtype=dtype),
            config=str(folder),
            subfolder="transformer",
            torch_dtype=dtype,
            local_files_only=True,
        )
    opened.requires_grad_(False)
    return opened.eval().to(device)
