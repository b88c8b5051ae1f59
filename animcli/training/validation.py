"""How good the small model is on people that it hasn't seen, and what it looks at.

The figures are those of the benchmark, on single frames: few enough to be taken while the
model trains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from animcli.networks.autoencoder import (
    LATENT_CHANNELS,
    SHRINK,
    Autoencoder,
    fold,
    halve,
)
from animcli.networks.background import background
from animcli.networks.heads import Tones, turned_heads
from animcli.networks.limbs import limb_code
from animcli.networks.mini import MiniModel, make_clue
from animcli.networks.warp import Moved, move_parts
from animcli.training.shards import Footage

Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class Cases:
    """One target for each of b cases, with its reference.

    references, targets: `(b, 3, h, w)` in -1..1. masks: `(b, 1, h, w)` in 0..1,
    where the target's person is, a little dilated.
    joints: `(b, 2, 18, 2)`, the reference's first. seen: `(b, 2, 18)`.
    """

    references: Tensor
    targets: Tensor
    masks: Tensor
    joints: Tensor
    seen: Tensor


def make_cases(footage: Sequence[Footage], targets: int) -> Cases:
    """A case for each of the first `targets` targets of every clip."""
    parts: list[tuple[Tensor, ...]] = []
    for clip in footage:
        pictures = torch.from_numpy(clip.pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        joints, seen = torch.from_numpy(clip.joints), torch.from_numpy(clip.seen)
        masks = torch.from_numpy(clip.masks)[:, None].float() / 255
        for target in range(1, 1 + targets):
            pair = [0, target]
            parts.append(
                (pictures[0], pictures[target], masks[target], joints[pair], seen[pair])
            )
    references, wanted, masks, joints, seen = (
        torch.stack(part) for part in zip(*parts, strict=True)
    )
    grown = F.max_pool2d(masks, 9, stride=1, padding=4)
    return Cases(references, wanted, grown, joints, seen)


def measure(made: Tensor, cases: Cases) -> Figures:
    """What pictures `made` (b, 3, h, w) in -1..1 are worth beside the targets."""
    made = made.clamp(-1, 1)
    error = (made - cases.targets).square()
    inside = cases.masks.expand_as(error)
    whole = error.mean(dim=(1, 2, 3))
    figure = (error * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3)).clamp_min(1)
    return {
        "psnr": _decibels(whole),
        "figure": _decibels(figure),
        "ssim": float(structural_similarity(made, cases.targets).mean()),
    }


def measure_motion(made: Tensor, cases: Cases, frames: int) -> Figures:
    """What pictures on end, `frames` to a clip, are worth as a clip, in levels of 0..255.

    flicker: how much the background changes from frame to frame, beyond the true one.
    change: how far the change from frame to frame is from the true one, everywhere.
    """
    shape = (-1, frames)
    clip, true, masks = (
        each.unflatten(0, shape) for each in (made.clamp(-1, 1), cases.targets, cases.masks)
    )
    change, right = (127.5 * each.diff(dim=1) for each in (clip, true))
    still = 1 - torch.maximum(masks[:, 1:], masks[:, :-1]).expand_as(change)
    beyond = (change.abs() - right.abs()) * still
    return {
        "flicker": float(beyond.sum() / still.sum().clamp_min(1)),
        "change": float((change - right).abs().mean()),
    }


def _decibels(squared: Tensor) -> float:
    """Of squared errors (b,) of pictures in -1..1: each picture's, then the mean."""
    return float((10 * torch.log10(4 / squared.clamp_min(1e-10))).mean())


def structural_similarity(left: Tensor, right: Tensor) -> Tensor:
    """SSIM (b,) of the luminance of pictures (b, 3, h, w) in -1..1.

    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural
    Similarity", 2004: a Gaussian window of 11 pixels, deviation 1.5.
    """
    luma = left.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    x, y = (((each + 1) / 2 * luma).sum(dim=1, keepdim=True) for each in (left, right))
    places = torch.arange(11, dtype=left.dtype) - 5
    bell = torch.exp(-places.square() / (2 * 1.5**2))
    bell = (bell / bell.sum())[None, None]

    def blur(z: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(z, bell[:, :, None]), bell[..., None])

    mx, my = blur(x), blur(y)
    vx, vy, both = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    a, b = 0.01**2, 0.03**2
    ratio = (2 * mx * my + a) * (2 * both + b) / ((mx**2 + my**2 + a) * (vx + vy + b))
    return ratio.mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class Shown:
    """What the model is shown of the reference: the right one, another's, or nothing."""

    attention: bool | None = True
    clue: bool | None = True


LOOKS = {
    "": Shown(),
    "wrong_both_": Shown(False, False),
    "wrong_attention_": Shown(False, True),
    "no_attention_": Shown(None, True),
    "no_clue_": Shown(True, None),
    "wrong_no_clue_": Shown(False, None),
}


@torch.inference_mode()
def paint(
    model: MiniModel,
    autoencoder: Autoencoder,
    cases: Cases,
    shares: Tensor,
    steps: int,
    shown: Shown = LOOKS[""],
    frames: int = 1,
    shared: float = 0.0,
) -> Tensor:
    """Pictures (b, 3, h, w) that the model makes of the cases, in `steps` steps of DDIM.

    frames: so many cases on end are a clip of one reference.
    shared: how much of the variance of their noise they share.
    """
    b, _, height, width = cases.targets.shape

    def to_clips(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (-1, frames)).transpose(1, 2)  # (clips, c, frames, h, w)

    cells = (height // SHRINK, width // SHRINK)
    there = limb_code(cases.joints[:, 0], cases.seen[:, 0], cells)
    here = limb_code(cases.joints[:, 1], cases.seen[:, 1], cells)
    right = torch.arange(b)
    other = (right + b // 2) % b
    halved = halve(cases.references)
    look = model.look(fold(halved[::frames]), there[::frames])  # once for each clip
    features: dict[str, Tensor] = {}
    if shown.attention is not None:
        which = (right if shown.attention else other)[::frames] // frames
        features = {path: rows[which] for path, rows in look.features.items()}
    guess = clue = like = None
    if shown.clue is not None:
        which = right if shown.clue else other
        small, figure = halved[which], look.figure[which // frames]
        still = (cases.joints[which, 0], cases.seen[which, 0])
        asked = (cases.joints[:, 1], cases.seen[:, 1])
        tones = Tones.of(small, figure, still)
        guess = move_parts(small, still, asked, figure=figure, tones=tones)
        turned = turned_heads(tones, still, asked, (height, width))
        like = whole_size(guess, cases.references[which], figure, turned)
        clue = make_clue(guess, fold(small), there[which])
    pose = to_clips(model.guider(here, clue))
    sight = model.unet.see(None, features)

    def clean(noisy: Tensor, timestep: int) -> Tensor:
        time = torch.tensor(timestep)
        made, _ = model(to_clips(noisy), time, sight, pose, guess)
        return made.transpose(1, 2).flatten(0, 1)

    shape = (b, LATENT_CHANNELS, height // SHRINK, width // SHRINK)
    random = torch.Generator().manual_seed(1)
    noise = torch.randn(shape, generator=random)
    if shared:
        common = torch.randn(b // frames, *shape[1:], generator=random)
        common = common.repeat_interleave(frames, 0)
        noise = (1 - shared) ** 0.5 * noise + shared**0.5 * common
    latents = descend(noise, clean, shares, steps)
    return autoencoder.decode(latents, like)


def whole_size(guess: Moved, pictures: Tensor, figure: Tensor, turned: Tensor) -> Tensor:
    """A guess from halved pictures at the size of the `pictures` (b, 3, h, w) themselves.

    figure: `(b, 1, h / 2, w / 2)`, what of them is the person. turned: `(b, 4, h, w)`, what
    is painted over the heads.
    """
    large = F.interpolate(figure, scale_factor=2, mode="bilinear")
    return guess.enlarged(pictures, background(pictures, large), turned).whole


def descend(
    noisy: Tensor, clean: Callable[[Tensor, int], Tensor], shares: Tensor, steps: int
) -> Tensor:
    """DDIM (Song et al., arXiv:2010.02502) from noise to what is clean, in `steps` steps.

    clean: (noisy, time step) -> the clean latents in it. shares: alphas_cumprod.
    """
    times = [round(len(shares) * (1 - i / steps)) - 1 for i in range(steps)]
    for time, later in zip(times, [*times[1:], None], strict=True):
        guess = clean(noisy, time)
        if later is None:
            return guess
        noise = (noisy - shares[time].sqrt() * guess) / (1 - shares[time]).sqrt()
        noisy = shares[later].sqrt() * guess + (1 - shares[later]).sqrt() * noise
    return noisy


@torch.inference_mode()
def guesses(cases: Cases, autoencoder: Autoencoder) -> Tensor:
    """The references with their limbs moved, before the model: (b, 3, h, w)."""
    joints, seen = cases.joints, cases.seen
    moved = move_parts(
        halve(cases.references), (joints[:, 0], seen[:, 0]), (joints[:, 1], seen[:, 1])
    )
    return autoencoder.decode(fold(moved.whole))


def baselines(cases: Cases, autoencoder: Autoencoder) -> dict[str, Figures]:
    """What copying, the guess alone and the autoencoder's limit are worth."""
    with torch.inference_mode():
        through = autoencoder(cases.targets)
    return {
        "copy": measure(cases.references, cases),
        "moved": measure(guesses(cases, autoencoder), cases),
        "autoencoder": measure(through, cases),
    }


def to_bytes(pictures: Tensor) -> np.ndarray:
    """Pictures (b, 3, h, w) in -1..1 as (b, h, w, 3) uint8."""
    shown = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return shown.permute(0, 2, 3, 1).numpy()
