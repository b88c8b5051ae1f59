"""Wan-Animate-2: our loop, segment after segment, over diffusers' networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.tiny_renders import Kept
from builders.tiny_wan import PRESET_2, WORDS_2, footage, wan_2_request, write_tiny_wan_2
from numpy.typing import NDArray
from PIL import Image

from animcli.errors import UsageError
from animcli.rendering.newest.segments import reflect_frame
from animcli.rendering.newest.wan_animate_2 import WanAnimate2
from animcli.rendering.newest.wan_memory import WanShape
from animcli.rendering.newest.wan_parts import (
    library_class,
    open_part,
    open_wan_vae,
)
from animcli.rendering.renderer import RenderRequest
from animcli.rendering.schedulers import FlowSchedule, make_scheduler

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implement:DeprecationWarning",
    "ignore:_compile flag:DeprecationWarning",
    "ignore:.*torch.jit.script:DeprecationWarning",
    "ignore:flex_attention called without:UserWarning",
)
CPU = torch.device("cpu")
FRAMES = 13  # two segments of 9, of which one frame is carried, the last filled up


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_wan_2(tmp_path_factory.mktemp("weights"))


def frames_of(asked: RenderRequest, kept: Kept | None = None) -> NDArray[np.uint8]:
    source = WanAnimate2().prepare(asked, kept or Kept(), lambda what, done, total: None)
    return np.stack(list(source(range(asked.frames))))


def theirs(asked: RenderRequest) -> NDArray[np.float32]:
    """What the library's modular pipeline makes of the same request."""
    from diffusers.guiders import ClassifierFreeGuidance
    from diffusers.models.transformers.transformer_wan_animate_2 import (
        WanAnimate2Transformer3DModel,
    )
    from diffusers.modular_pipelines.wan_animate_2.modular_blocks_wan_animate_2 import (
        WanAnimate2Blocks,
    )
    from transformers import AutoTokenizer

    folder, preset = asked.weights[WanAnimate2.entry], asked.preset

    def part(module: str, kind: str, name: str) -> Any:
        return open_part(library_class(module, kind), folder, name, torch.float32, CPU)

    pipeline = WanAnimate2Blocks().init_pipeline()
    pipeline.update_components(
        vae=open_wan_vae(folder, CPU),
        transformer=open_part(
            WanAnimate2Transformer3DModel, folder, "transformer", torch.float32, CPU
        ),
        text_encoder=part("transformers", "UMT5EncoderModel", "text_encoder"),
        image_encoder=part("transformers", "CLIPVisionModel", "image_encoder"),
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        scheduler=make_scheduler(preset.sampler, FlowSchedule(preset.shift)),
        guider=ClassifierFreeGuidance(guidance_scale=preset.guidance),
    )
    videos = pipeline(
        prompt=WORDS_2[1],
        negative_prompt=WORDS_2[0],
        image=Image.fromarray(asked.reference),
        driving_video=[
            Image.fromarray(f) for f in footage(range(asked.frames), asked.size)
        ],
        height=asked.size[1],
        width=asked.size[0],
        segment_frame_length=preset.segment,
        num_inference_steps=preset.steps,
        generator=torch.Generator().manual_seed(preset.seed),
        output="videos",
        output_type="np",
    )
    return np.asarray(videos[0])


def test_two_segments_equal_the_pipelines_own_call_and_go_on_after_any_stop(
    weights: dict[str, Path],
) -> None:
    asked = wan_2_request(weights, FRAMES)
    ours = frames_of(asked)
    assert np.array_equal(ours, (theirs(asked) * 255).round().astype(np.uint8))
    for stop in (1, 3):  # amid the first segment, and amid the second
        kept = Kept(stop)
        with pytest.raises(KeyboardInterrupt):
            frames_of(asked, kept)
        assert np.array_equal(frames_of(asked, kept), ours)
    other = replace(
        asked,
        control=lambda span: footage(range(span.start + 40, span.stop + 40), asked.size),
    )
    assert not np.array_equal(frames_of(other), ours)


def test_a_clip_beyond_its_end_is_walked_to_and_fro() -> None:
    walked = [reflect_frame(i, 4) for i in range(12)]
    assert walked == [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3]


def test_a_single_frame_is_refused(weights: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="no single frame"):
        frames_of(wan_2_request(weights, 1))


def test_keys_and_values_of_the_driving_video_take_as_much_as_told() -> None:
    shape = WanShape(beside=251_000_000, caches=True)
    assert shape.parameters == pytest.approx(16.395e9, rel=1e-3)
    preset = replace(PRESET_2, width=640, height=800, segment=81)
    plain = replace(shape, caches=False)
    assert shape.features(preset) - plain.features(preset) == pytest.approx(34e9, rel=0.02)
