"""Rendering with Cinemo goes, step by step, where the original goes."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders.cinemo_set import BLOCK, cases, close, close_latents, steps_of, unet_of
from builders.golden_set import Case
from torch import Tensor, nn

from animcli.rendering.cinemo import encode_conditioning, predictor
from animcli.rendering.context import ContextWindow
from animcli.rendering.guidance import Guidance
from animcli.rendering.memory import MemoryPlan
from animcli.rendering.noise import dct_matrix, low_pass, refine_noise
from animcli.rendering.pipeline import SchedulerProtocol, denoise
from animcli.rendering.schedulers import (
    CINEMO_SCHEDULE,
    DDIMInversion,
    Scheduler,
    make_scheduler,
)
from animcli.rendering.vae import SCALING_FACTOR, decode_frames
from animcli.stages.fitting import cover, cover_exactly
from animcli.training.cinemo import PUBLISHED, CinemoBatch, CinemoNetworks
from animcli.training.cinemo import CinemoAdapter as TrainedCinemo
from animcli.training.denoising import denoising_loss
from animcli.video.ssim import neighbour_ssim, ssim


def frames_first(clip: Tensor) -> Tensor:
    """`(1, c, f, h, w)` -> `(f, c, h, w)`."""
    return clip[0].transpose(0, 1)


def signal(timestep: int) -> float:
    return float(make_scheduler("ddim", CINEMO_SCHEDULE).alphas_cumprod[timestep])


def walk(
    case: Case,
    prefix: str,
    config: dict[str, float],
    start: Tensor,
    solver: SchedulerProtocol,
) -> None:
    """Compare every step of a loop, with guidance in one call and in two."""
    t = case.tensors
    unet = unet_of(case.entry["config"]["unet"])
    negative = t.get("in.negative_prompt_embeds", t["in.prompt_embeds"])
    texts = torch.cat([negative, t["in.prompt_embeds"], t["in.prompt_embeds"]])
    window = ContextWindow(tuple(range(start.shape[2])), (1.0,) * start.shape[2])
    expected = steps_of(case, prefix)
    assert [step for _, step in expected] == solver.timesteps.tolist()
    for cfg_batch in {False, config["guidance_scale"] > 1}:
        told = encode_conditioning(
            unet,
            texts,
            config["motion_bucket_id"],
            start.shape[2],
            MemoryPlan(cfg_batch=cfg_batch),
        )
        guidance = Guidance(config["guidance_scale"])
        step_fn = predictor(told, t["in.base_content"][0, :, 0], guidance, len(expected))
        with torch.inference_mode():
            walked = denoise(frames_first(start), solver, step_fn, lambda _: [window])
            for (name, _), latents in zip(expected, walked, strict=True):
                close_latents(case, latents.transpose(0, 1)[None], name)


@cases("in.init_latents_dct", "*.step0_*")
@pytest.mark.parametrize("run", ["cfg", "nocfg"])
def test_every_step_of_sampling(case: Case, run: str) -> None:
    config = case.entry["config"]
    start = case.tensors[config[run]["init"]]
    walk(case, run, config[run], start, Scheduler("ddim", CINEMO_SCHEDULE, config["steps"]))


@cases("in.motion_latents", "inv.step0_*")
def test_every_step_of_inversion(case: Case) -> None:
    config = case.entry["config"]
    start = case.tensors["in.motion_latents"]
    walk(case, "inv", config, start, DDIMInversion(CINEMO_SCHEDULE, config["steps"]))


@cases("in.init_latents_dct", "in.noise")
def test_the_noise_that_sampling_starts_from(case: Case) -> None:
    t, config = case.tensors, case.entry["config"]["cfg"]["dct"]
    first, noise = t["in.base_content"][0, :, 0], frames_first(t["in.noise"])
    refined = refine_noise(noise, first, signal(config["timestep"]), config["percentage"])
    close(case, refined.transpose(0, 1)[None], "in.init_latents_dct", rtol=0, atol=5e-6)


@cases("in.base_latent_f64", "out.latents_f64")
def test_refining_noise(case: Case) -> None:
    t, config = case.tensors, case.entry["config"]
    first, noise = t["in.base_latent_f64"][0, :, 0], frames_first(t["in.noise"])
    exact = {"rtol": 0, "atol": 5e-6}  # the index's, of float32 inside upstream
    at, part = signal(config["timestep"]), config["percentage"]
    close(
        case,
        refine_noise(noise, first, at, part).transpose(0, 1)[None],
        "out.latents",
        **exact,
    )
    wide = refine_noise(noise.double(), first, at, part).transpose(0, 1)[None]
    close(case, wide, "out.latents_f64", **exact)
    close(case, wide.half(), "out.latents_f16", rtol=0, atol=2e-3)  # a place of float16
    noised = at**0.5 * first[:, None] + (1 - at) ** 0.5 * t["in.noise"][0].double()
    close(case, noised[None], "mid.base_noised_f64", **exact)
    mask = t["mid.mask"][0, 0, 0]
    assert int(mask.sum(0).max()) == config["cut_h"]
    assert int(mask.sum(1).max()) == config["cut_w"]
    low = torch.linalg.multi_dot(
        [dct_matrix(len(mask)), low_pass(wide[0, 0, 0], part), dct_matrix(len(mask.T)).T]
    )
    assert float((low * (1 - mask)).abs().max()) < 1e-12


@cases("dct3.in_f64", "dct3.out_f64")
def test_the_cosine_transform(case: Case) -> None:
    x = case.tensors["dct3.in_f64"]
    rows = [dct_matrix(size) for size in x.shape[-3:]]
    said = torch.einsum("bcfhw,xf,yh,zw->bcxyz", x, *rows)
    close(case, said, "dct3.out_f64", rtol=0, atol=1e-12)


@cases("scheduler.alphas_cumprod")
def test_the_schedule(case: Case) -> None:
    scheduler = make_scheduler("ddim", CINEMO_SCHEDULE)
    close(case, scheduler.alphas_cumprod, "scheduler.alphas_cumprod", rtol=1e-6, atol=0)
    for name in case.under("scheduler.timesteps_"):
        scheduler.set_timesteps(int(name))
        assert torch.equal(scheduler.timesteps, case.tensors[f"scheduler.timesteps_{name}"])


class Stub(nn.Module):
    """The index's stand-in for an autoencoder; notes what it was asked to decode."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))
        self.asked: list[list[object]] = []

    def decode(self, latents: Tensor, num_frames: int | None = None) -> SimpleNamespace:
        self.asked.append([list(latents.shape), num_frames])
        return SimpleNamespace(sample=latents[:, :3] * 0.1)


@cases("decode.in.residual", "decode.temporal_uint8")
def test_decoding(case: Case) -> None:
    t, first = case.tensors, case.tensors["in.base_content"]
    clip = torch.cat([first, first + t["decode.in.residual"]], dim=2)
    close(case, clip / SCALING_FACTOR, "decode.full_latents_before_vae")
    for decoder, name in [("temporal", "temporal"), ("frame", "framewise")]:
        stub = Stub()
        frames = decode_frames(stub, decoder, frames_first(clip), Nothing())
        pictures = np.stack(list(frames(range(clip.shape[2]))))
        said = torch.from_numpy(pictures)[None].int()
        # The index allows one step: upstream cuts the rest off here, and rounds there.
        assert (said - t[f"decode.{name}_uint8"].int()).abs().max() <= 1
        if decoder == "temporal":
            assert stub.asked == case.entry["vae_calls_temporal"]


class Nothing:
    """A checkpoint that keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, arrays: object) -> None:
        return None


@cases("in.image_uint8", "out.normalized")
def test_preprocessing(case: Case) -> None:
    picture = case.tensors["in.image_uint8"][0].permute(1, 2, 0).numpy()
    height, width = case.entry["config"]["target"]
    exact = torch.from_numpy(cover_exactly(picture, (width, height)))
    covered = exact.permute(2, 0, 1)[None]
    close(case, covered, "out.cropped_0_1", rtol=0, atol=1e-6)
    close(case, covered * 2 - 1, "out.normalized", rtol=0, atol=2e-6)
    rounded = torch.from_numpy(cover(picture, (width, height))).permute(2, 0, 1)[None] / 255
    assert (rounded - covered).abs().max() <= 0.5 / 255 + 1e-6


@cases("in.latents", "out.eps_pred", "out.mse")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_training_objective(case: Case, checkpointing: bool) -> None:
    t = case.tensors
    batch = CinemoBatch(
        clips=t["in.latents"],
        text=t["in.encoder_hidden_states"],
        motion=t["in.motion_ids"],
        noise=t["in.noise"],
        timesteps=t["in.timesteps"],
    )
    unet = unet_of(case.entry["config"]["unet"])
    model, system = CinemoNetworks(unet, t["in.encoder_hidden_states"][:1]), TrainedCinemo()
    close(case, batch.latents, "mid.residual")
    noisy = PUBLISHED.add_noise(batch.latents, batch.noise, batch.timesteps)
    close(case, noisy, "mid.noisy_residual")
    with torch.no_grad():
        predicted = system.predict(model, batch, noisy, checkpointing=checkpointing)
        close(case, predicted, "out.eps_pred")
    loss = denoising_loss(system, model, batch, PUBLISHED, checkpointing=checkpointing)
    close(case, loss.detach().reshape(1), "out.mse")

    # The set has no gradients: those of its formula, of its own noisy residuals.
    first = t["in.latents"][:, :, :1]
    expected = unet(
        t["mid.noisy_residual"],
        t["in.timesteps"],
        unet.cache_clip_kv(t["in.encoder_hidden_states"], t["in.noise"].shape[2]),
        first=first,
        motion=unet.add_embedding(t["in.motion_ids"]),
    )
    weights = list(unet.parameters())
    wanted = torch.autograd.grad(((expected - t["in.noise"]) ** 2).mean(), weights)
    for (name, _), found, right in zip(
        unet.named_parameters(), torch.autograd.grad(loss, weights), wanted, strict=True
    ):
        assert found.any(), name
        torch.testing.assert_close(found, right, **BLOCK)


@cases("in.clip_uint8_thwc", "out.adjacent_gray_f64")
def test_the_likeness_of_pictures(case: Case) -> None:
    t = case.tensors
    clips = {"gray": t["in.gray_uint8"].numpy(), "rgb": t["in.clip_uint8_thwc"].numpy()}
    for kind, clip in clips.items():
        adjacent = [ssim(a, b) for a, b in pairwise(clip)]
        first = [ssim(clip[0], other) for other in clip[1:]]
        for name, said in [("adjacent", adjacent), ("vs_first", first)]:
            name = f"out.{name}_{kind}_f64"
            # scikit-image filters in another order; all in float64.
            close(case, torch.tensor(said, dtype=torch.float64), name, rtol=0, atol=1e-9)
        floors = case.entry["config"]["floor_100x"]
        assert int(100 * neighbour_ssim(clip)) == floors[f"adjacent_{kind}"]
