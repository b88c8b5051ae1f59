"""Rendering with Animate Anyone goes, step by step, where the original goes."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from builders.golden_set import Case, close, golden_set, unet_config
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from torch import Tensor
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from animcli.networks.controlnet import PoseGuider
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet
from animcli.rendering.animate_anyone import (
    CLIP_SIDE,
    encode_image,
    pose_features,
    predictor,
    reference_features,
)
from animcli.rendering.context import ContextWindow, interpolate, uniform_windows
from animcli.rendering.guidance import Guidance
from animcli.rendering.memory import MemoryPlan
from animcli.rendering.pipeline import denoise
from animcli.rendering.schedulers import (
    ANIMATE_ANYONE_SCHEDULE,
    NoiseSchedule,
    Scheduler,
    make_scheduler,
)
from animcli.rendering.vae import Autoencoder, to_unit

SET = golden_set("animate_anyone")

pytestmark = pytest.mark.usefixtures("no_gradients")

CPU = torch.device("cpu")


class Pipeline:
    """All networks of the set, and what a case gives them."""

    def __init__(self, case: Case) -> None:
        shapes = SET.shapes
        guider_shape = shapes["pose_guider"]
        self.case, self.config = case, case.entry["config"]
        self.unet = SET.load(UNet(unet_config(shapes["unet3d"])), "denoising_unet")
        self.reference_unet = SET.load(
            ReferenceNet(unet_config(shapes["unet2d"])), "reference_unet"
        )
        guider = PoseGuider(
            guider_shape["conditioning_embedding_channels"],
            tuple(guider_shape["block_out_channels"]),
        )
        SET.load(guider, "pose_guider")
        vae = AutoencoderKL.from_config(shapes["vae"])
        self.autoencoder = Autoencoder(SET.load(vae, "vae"))
        clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**shapes["image_encoder"]))
        self.clip = SET.load(clip, "image_encoder")

        height, width = self.config["image_hw"]
        self.reference = case.tensors["in_ref_image_u8"].numpy()
        fitted = Image.fromarray(self.reference).resize((width, height), Image.LANCZOS)
        self.latents = self.autoencoder.encode(np.asarray(fitted))
        blocks = case.tensors["in_pose_blocks_u8"].numpy()
        self.poses = blocks.repeat(8, axis=1).repeat(8, axis=2)
        self.pose = pose_features(
            guider, lambda i: to_unit(self.poses[i])[:, :, None], CPU, torch.float32
        )

    def token(self) -> Tensor:
        """What CLIP says of the reference, which the short pipeline crops, not squashes."""
        picture = self.reference
        if self.config.get("short_pipeline"):
            height, width = picture.shape[:2]
            scale = CLIP_SIDE / min(height, width)
            size = (int(width * scale), int(height * scale))
            whole = np.asarray(Image.fromarray(picture).resize(size, Image.BICUBIC))
            top, left = (size[1] - CLIP_SIDE) // 2, (size[0] - CLIP_SIDE) // 2
            picture = whole[top : top + CLIP_SIDE, left : left + CLIP_SIDE]
        return encode_image(self.clip, picture)

    def windows(self) -> list[ContextWindow]:
        config, frames = self.config, self.config["frames"]
        if not config["context_frames"]:  # the short pipeline has no windows
            return [ContextWindow(tuple(range(frames)), (1.0,) * frames)]
        return uniform_windows(
            frames,
            config["context_frames"],
            config["context_overlap"],
            stride=config["context_stride"],
        )

    def times_seen(self) -> Tensor:
        """How many windows see each frame, (frames, 1, 1, 1)."""
        times = torch.zeros(self.config["frames"], 1, 1, 1)
        for window in self.windows():
            times[list(window.frames)] += 1
        return times

    def steps(
        self, *, rounded: bool = False, solver: Scheduler | None = None
    ) -> Iterator[Tensor]:
        """The latents (1, c, frames, h, w) after each step."""
        token = self.token()
        features = reference_features(self.reference_unet, self.latents, token)
        if rounded:  # what upstream does with the features on their way
            features = {path: rows.half().float() for path, rows in features.items()}
        steps = self.config["steps"]
        guidance = Guidance(self.config["guidance_scale"])
        step_fn = predictor(
            self.unet,
            token,
            features,
            self.pose,
            guidance,
            steps,
            MemoryPlan(cfg_batch=True),
        )
        noise = self.case.tensors["in_latents"][0].transpose(0, 1)
        solver = solver or Scheduler("ddim", ANIMATE_ANYONE_SCHEDULE, steps)
        windows = self.windows()
        for latents in denoise(noise, solver, step_fn, lambda _: windows):
            yield latents.transpose(0, 1)[None]


class Forgetful(Scheduler):
    """Takes the sum of what windows say for the mean, as upstream does without guidance."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__("ddim", ANIMATE_ANYONE_SCHEDULE, pipeline.config["steps"])
        self.times = pipeline.times_seen()

    def step(self, prediction: Tensor, step: int, latents: Tensor) -> Tensor:
        return super().step(prediction * self.times, step, latents)


@SET.each("in_pose_blocks_u8", "latents_after_step0")
def test_what_the_networks_look_at(case: Case) -> None:
    pipeline = Pipeline(case)
    token = pipeline.token()
    expected = case.tensors["mid_encoder_hidden_states"]
    torch.testing.assert_close(token, expected[-1:], rtol=0, atol=case.tolerance)
    close(case, pipeline.latents, "mid_ref_latents_scaled")
    close(case, to_unit(pipeline.poses[0]), "mid_pose_tensor_frame0")
    close(case, pipeline.pose.stack([0]), "mid_pose_fea_frame0")
    close(case, pipeline.pose.stack([len(pipeline.poses) - 1]), "mid_pose_fea_frame_last")


@SET.each("in_pose_blocks_u8", "latents_after_step0")
def test_every_step_and_the_picture(case: Case) -> None:
    pipeline = Pipeline(case)
    windows = pipeline.windows()
    listed = case.entry["windows"]
    assert listed is None or listed == [list(window.frames) for window in windows]
    # Without guidance upstream forgets to divide by the number of windows that saw a frame;
    # with that put back, all else must be the same.
    forgets = pipeline.config["guidance_scale"] <= 1
    solver = Forgetful(pipeline) if forgets else None
    for step, latents in enumerate(pipeline.steps(solver=solver)):
        close(case, latents, f"latents_after_step{step}")
    picture = pipeline.autoencoder.decode(latents[0, :, 0])
    close(case, picture[None], "out_video_frame0")


@SET.each("in_pose_blocks_u8", "latents_last_bank_fp16")
def test_features_rounded_to_float16_as_upstream_does(case: Case) -> None:
    pipeline = Pipeline(case)
    forgets = pipeline.config["guidance_scale"] <= 1
    solver = Forgetful(pipeline) if forgets else None
    *_, latents = pipeline.steps(rounded=True, solver=solver)
    close(case, latents, "latents_last_bank_fp16")


@SET.each("in_pose_blocks_u8", "model_output_step0_after_cfg")
def test_frames_of_several_windows_are_averaged_without_guidance_too(case: Case) -> None:
    """Differs: upstream adds the predictions up and only divides them with guidance on."""
    pipeline = Pipeline(case)
    upstream = case.tensors["model_output_step0_after_cfg"]
    if pipeline.config["guidance_scale"] <= 1:
        upstream = upstream / pipeline.times_seen()[:, 0]

    scheduler = make_scheduler("ddim", ANIMATE_ANYONE_SCHEDULE)
    scheduler.set_timesteps(pipeline.config["steps"])
    expected = scheduler.step(
        upstream, scheduler.timesteps[0], case.tensors["in_latents"], return_dict=False
    )[0]
    first = next(pipeline.steps())
    torch.testing.assert_close(first, expected, rtol=0, atol=case.tolerance)


@SET.each("*/alphas_cumprod", "step_in_sample")
def test_the_schedules(case: Case) -> None:
    t = case.tensors
    schedules = {
        "infer_v2": ANIMATE_ANYONE_SCHEDULE,
        "infer_v1": NoiseSchedule(),
        "train": NoiseSchedule(
            "scaled_linear", "v_prediction", zero_snr=True, spacing="trailing"
        ),
    }
    names = {name.split("/")[0] for name in t if name.endswith("/alphas_cumprod")}
    assert names <= schedules.keys()
    for name in names:
        scheduler = make_scheduler("ddim", schedules[name])
        close(case, scheduler.alphas_cumprod, f"{name}/alphas_cumprod")
        close(case, scheduler.betas, f"{name}/betas")
        close(case, scheduler.final_alpha_cumprod.reshape(1), f"{name}/final_alpha_cumprod")
        for key in case.under(f"{name}/timesteps_"):
            scheduler.set_timesteps(int(key))
            assert scheduler.timesteps.tolist() == t[f"{name}/timesteps_{key}"].tolist()
        taken = case.under(f"{name}/step")
        solver, latents = (
            Scheduler("ddim", schedules[name], len(taken)),
            t["step_in_sample"],
        )
        for step in range(len(taken)):
            latents = solver.step(t["step_in_model_out"] * (1 + 0.1 * step), step, latents)
            close(case, latents, f"{name}/step{step}_out")
        clean, noise = t["addnoise_in_x0"], t["addnoise_in_noise"]
        at = t["addnoise_timesteps"]
        for act, key in [("add_noise", "add_noise"), ("get_velocity", "velocity")]:
            if f"{name}/{key}" in t:
                close(case, getattr(scheduler, act)(clean, noise, at), f"{name}/{key}")


def test_the_published_windows() -> None:
    table = json.loads((SET.folder / "context_windows.json").read_text())
    assert table
    for row in table:
        windows = uniform_windows(
            row["num_frames"],
            row["context_size"],
            row["context_overlap"],
            stride=row["context_stride"],
            step=row["step"],
            closed=row["closed_loop"],
        )
        assert [list(window.frames) for window in windows] == row["windows"], row


@SET.each("in", "out_linear_x*", "out_slerp_x*")
def test_frames_between_frames(case: Case) -> None:
    frames = case.tensors["in"][0].transpose(0, 1)
    for way, short in [("linear", "linear"), ("spherical", "slerp")]:
        for factor in case.under(f"out_{short}_x"):
            places = range(0, len(frames) * int(factor), int(factor))
            made = interpolate(frames, places, way).transpose(0, 1)[None]
            close(case, made, f"out_{short}_x{factor}")
