"""Rendering with MagicAnimate goes, step by step, where the original goes."""

from collections.abc import Iterator

import pytest
from builders.golden_set import Case, close, golden_set, unet_config
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet
from animcli.rendering.context import ContextWindow, StepFn, uniform_windows
from animcli.rendering.guidance import Guidance
from animcli.rendering.magic_animate import (
    ResidualCache,
    conditions_of,
    encode_empty_prompt,
    predictor,
)
from animcli.rendering.memory import MemoryPlan
from animcli.rendering.pipeline import denoise
from animcli.rendering.schedulers import (
    MAGIC_ANIMATE_SCHEDULE,
    Scheduler,
    inverse_step,
    make_scheduler,
)
from animcli.rendering.vae import Autoencoder

SET = golden_set("magic_animate")

pytestmark = pytest.mark.usefixtures("no_gradients")


class TextEncoder(nn.Module):
    """CLIP's text model under the name that it has in published files."""

    def __init__(self, shape: dict[str, object]) -> None:
        super().__init__()
        self.text_model = CLIPTextModel(CLIPTextConfig(**shape))

    def forward(self, words: Tensor) -> object:
        return self.text_model(words)


class Pipeline:
    """All networks of the set, and what a case gives them."""

    def __init__(self, case: Case) -> None:
        shapes = SET.shapes
        self.case, self.config = case, case.entry["config"]
        self.unet = SET.load(UNet(unet_config(shapes["unet"])), "unet")
        encoder = ReferenceNet(unet_config(shapes["appearance_encoder"]))
        self.encoder = SET.load(encoder, "appearance_encoder")
        steer = shapes["controlnet"]
        widths = tuple(steer["conditioning_embedding_out_channels"])
        controlnet = ControlNet(unet_config(steer), widths)
        self.controlnet = SET.load(controlnet, "controlnet")
        vae = AutoencoderKL.from_config(shapes["vae"])
        self.autoencoder = Autoencoder(SET.load(vae, "vae"))
        text_shape = shapes["text_encoder"]
        text_encoder = SET.load(TextEncoder(text_shape), "text_encoder")
        self.text = encode_empty_prompt(
            text_encoder, text_shape["bos_token_id"], text_shape["eos_token_id"]
        )
        self.reference = self.autoencoder.encode(case.tensors["in_source_u8"].numpy())
        blocks = case.tensors["in_control_blocks_u8"].numpy()
        self.pictures = blocks.repeat(8, axis=1).repeat(8, axis=2)
        self.noise = case.tensors["in_latents"][0].transpose(0, 1)
        self.solver = Scheduler("ddim", MAGIC_ANIMATE_SCHEDULE, self.config["steps"])

    def windows(self) -> list[ContextWindow]:
        return uniform_windows(
            self.config["frames"],
            self.config["context_frames"],
            self.config["context_overlap"],
        )

    def step_fn(self, *, cfg_batch: bool, encoder: ReferenceNet | None = None) -> StepFn:
        return predictor(
            self.unet,
            encoder or self.encoder,
            self.controlnet,
            self.text,
            self.reference,
            lambda frame: self.pictures[frame],
            Guidance(self.config["guidance_scale"]),
            self.config["steps"],
            MemoryPlan(cfg_batch=cfg_batch),
        )

    def steps(
        self, *, cfg_batch: bool = True, encoder: ReferenceNet | None = None
    ) -> Iterator[Tensor]:
        """The latents (1, c, frames, h, w) after each step."""
        step_fn = self.step_fn(cfg_batch=cfg_batch, encoder=encoder)
        windows = self.windows()
        for latents in denoise(self.noise, self.solver, step_fn, lambda _: windows):
            yield latents.transpose(0, 1)[None]


@SET.each("in_control_blocks_u8", "latents_after_step0")
def test_what_the_networks_look_at(case: Case) -> None:
    pipeline = Pipeline(case)
    listed = case.entry["windows_unet"]
    assert listed == [list(window.frames) for window in pipeline.windows()]
    close(case, pipeline.text.expand(2, -1, -1), "mid_text_embeddings")
    close(case, pipeline.reference, "mid_ref_latents_scaled")
    residuals = ResidualCache(
        pipeline.controlnet,
        pipeline.controlnet.cache_kv(pipeline.text),
        pipeline.solver.timesteps[0],
        pipeline.noise,
        conditions_of(
            pipeline.controlnet, lambda frame: pipeline.pictures[frame], pipeline.text
        ),
        pipeline.text,
    )
    first = residuals.of(case.entry["windows_controlnet"][0])
    close(case, first.skips[0][:, :, 0], "mid_controlnet_first_window_down0_frame0")
    close(case, first.middle[0].transpose(0, 1), "mid_controlnet_first_window_mid")


@SET.each("in_control_blocks_u8", "latents_after_step0")
def test_every_step_and_the_picture(case: Case) -> None:
    pipeline = Pipeline(case)
    assert pipeline.solver.timesteps.tolist() == case.tensors["timesteps"].tolist()
    for step, latents in enumerate(pipeline.steps()):
        close(case, latents, f"latents_after_step{step}", tolerance(case))
    picture = pipeline.autoencoder.decode(latents[0, :, 0])
    close(case, picture[None], "out_video_frame0", tolerance(case))


@SET.each("in_control_blocks_u8", "latents_after_step0")
def test_latents_to_start_from_are_used_as_they_are(case: Case) -> None:
    """Upstream's `num_actual_inference_steps` leaves steps out before given latents."""
    pipeline = Pipeline(case)
    before = case.tensors["latents_after_step0"][0].transpose(0, 1)
    pipeline.solver.skip(1)
    windows, steps = pipeline.windows(), len(pipeline.solver.timesteps)
    step_fn = pipeline.step_fn(cfg_batch=True)
    found = denoise(before, pipeline.solver, step_fn, lambda _: windows, done=1)
    for step, latents in enumerate(found, start=1):
        close(
            case,
            latents.transpose(0, 1)[None],
            f"latents_after_step{step}",
            tolerance(case),
        )
    assert step == steps - 1


def tolerance(case: Case) -> float:
    """The case's, or the other pipelines' where it has none: their latents grow alike."""
    pipelines = SET.cases("in_control_blocks_u8")
    known = [
        each.entry["suggested_atol"] for each in pipelines if "suggested_atol" in each.entry
    ]
    return case.entry.get("suggested_atol", max(known))


class RoundedFeatures(ReferenceNet):
    """Shows float16 features, as upstream does."""

    def forward(self, *seen: Tensor) -> dict[str, Tensor]:
        return {path: rows.half().float() for path, rows in super().forward(*seen).items()}


@SET.each("in_control_blocks_u8", "latents_last_bank_fp16")
def test_features_rounded_to_float16_as_upstream_does(case: Case) -> None:
    encoder = RoundedFeatures(unet_config(SET.shapes["appearance_encoder"]))
    SET.load(encoder, "appearance_encoder")
    *_, latents = Pipeline(case).steps(encoder=encoder)
    close(case, latents, "latents_last_bank_fp16", tolerance(case))


@SET.each("in_control_blocks_u8", "latents_after_step0")
def test_the_halves_of_guidance_may_go_one_after_the_other(case: Case) -> None:
    first = next(Pipeline(case).steps(cfg_batch=False))
    close(case, first, "latents_after_step0", tolerance(case))


@SET.each("alphas_cumprod", "step_in_sample")
def test_the_schedule_and_its_inversion(case: Case) -> None:
    t = case.tensors
    scheduler = make_scheduler("ddim", MAGIC_ANIMATE_SCHEDULE)
    close(case, scheduler.alphas_cumprod, "alphas_cumprod")
    close(case, scheduler.final_alpha_cumprod.reshape(1), "final_alpha_cumprod")
    for count in case.under("timesteps_"):
        scheduler.set_timesteps(int(count))
        assert scheduler.timesteps.tolist() == t[f"timesteps_{count}"].tolist()

    steps = [name for name in t if name.startswith("step") and name.endswith("_out")]
    steps = [name for name in steps if name != "step_in_model_out"]
    solver, latents = (
        Scheduler("ddim", MAGIC_ANIMATE_SCHEDULE, len(steps)),
        t["step_in_sample"],
    )
    for step in range(len(steps)):
        latents = solver.step(t["step_in_model_out"] * (1 + 0.1 * step), step, latents)
        close(case, latents, f"step{step}_out")

    taken = [name for name in t if name.startswith("invert_step") and name.endswith("_out")]
    latents, levels = t["step_in_sample"], scheduler.alphas_cumprod
    stride = 1000 // 20  # the inversion in the file has 20 steps, and shows the first
    for step in range(len(taken)):
        at = int(t[f"invert_step{step}_timestep"])
        said = t["step_in_model_out"] * (1 + 0.1 * step)
        before = min(at - stride, 999)
        clean_end = scheduler.final_alpha_cumprod
        latents = inverse_step(
            latents, said, levels[before] if before >= 0 else clean_end, levels[at]
        )
        close(case, latents, f"invert_step{step}_out")
