"""The UNet that removes noise from a clip, and the levels that it is made of.

A level is a few layers at one size. A layer is a residual block, then a transformer and a
motion module where the level has them. The half that goes down is shared by three networks.
The UNet has the shape of Stable Diffusion 1.5's, and is Animate Anyone's or MagicAnimate's
by its config; Cinemo's removes noise from how a clip differs from its first frame.

Source: Hu et al., arXiv:2311.17117, section 3; Xu et al., arXiv:2311.16498, section 3; Ma
et al., "Cinemo: Consistent and Controllable Image Animation with Motion Diffusion Models",
arXiv:2407.15642, section 3. Attribute names are those of the published checkpoints.

Shapes: b samples, f frames, c channels, h by w positions; folded frames `(b f, c, h, w)`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from animcli.networks.attention import Seen, SpatialTransformer
from animcli.networks.layers import (
    Downsample,
    GroupNorm,
    ResnetBlock,
    TimestepEmbedding,
    Upsample,
    add_to_samples,
    fold_frames,
    unfold_frames,
)
from animcli.networks.motion_module import MotionModule

Sight = Mapping[str, Seen]
"""Path of a transformer in the network -> what it looks at; see `Encoder.see`."""

NOTHING_SEEN = Seen()


@dataclass(frozen=True)
class MotionConfig:
    """The motion modules of a network, one after every layer of the levels with them.

    positions: most frames that a window may have.
    middle: whether the middle of the network has one too.
    finest: the first level that has them; levels count from the full size down.
    """

    positions: int
    middle: bool = True
    heads: int = 8
    groups: int = 32
    finest: int = 0

    def at(self, level: int) -> bool:
        """Whether a level has them; -1 is the middle."""
        return self.middle if level < 0 else level >= self.finest


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a UNet; the defaults are those of Stable Diffusion 1.5.

    widths: channels of each level, from the full size down.
    layers: layers of a level on the way down; there is one more on the way up.
    attention: which levels have transformers; the middle always has one.
    heads: of the attention in transformers; one number, or one for each level.
    context: channels of the context's tokens, or 0 if there is no context.
    across_frames: the group norms outside of transformers and motion modules take a
        sample's frames together, as in MagicAnimate, instead of each by itself.
    over_time: every transformer also looks at the other frames, as in Cinemo.
    answers: channels that come out, if not as many as go in.
    """

    channels: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    attention: tuple[bool, ...] = (True, True, True, False)
    heads: int | tuple[int, ...] = 8
    groups: int = 32
    context: int = 768
    motion: MotionConfig | None = None
    across_frames: bool = False
    over_time: bool = False
    answers: int | None = None

    def __post_init__(self) -> None:
        if len(self.attention) != len(self.widths):
            raise ValueError(
                f"{len(self.widths)} widths want as many attention entries, "
                f"got {len(self.attention)}"
            )

    @property
    def time_width(self) -> int:
        """Channels of the time embedding."""
        return 4 * self.widths[0]

    def heads_at(self, level: int) -> int:
        """Heads of the transformers of a level; -1 is the middle, too."""
        return self.heads if isinstance(self.heads, int) else self.heads[level]


class Level(nn.Module):
    """Layers at one size. The middle is one too; only its first layer has attention."""

    def __init__(
        self,
        config: UNetConfig,
        index: int,
        channels: Sequence[int],
        *,
        transformers: int,
        motion_modules: int,
    ) -> None:
        """`channels` go into the layers of level `index`, its width comes out of each."""
        super().__init__()
        width = config.widths[index]
        self.resnets = nn.ModuleList(
            ResnetBlock(
                entering,
                width,
                config.time_width,
                groups=config.groups,
                across_frames=config.across_frames,
            )
            for entering in channels
        )
        self.attentions = nn.ModuleList(
            SpatialTransformer(
                width,
                config.context,
                heads=config.heads_at(index),
                groups=config.groups,
                over_time=config.over_time,
            )
            for _ in range(transformers)
        )
        self.motion_modules = nn.ModuleList()
        if config.motion is not None and config.motion.at(index):
            self.motion_modules.extend(
                MotionModule(
                    width,
                    heads=config.motion.heads,
                    positions=config.motion.positions,
                    groups=config.motion.groups,
                )
                for _ in range(motion_modules)
            )

    def forward(
        self, index: int, x: Tensor, time: Tensor, frames: int, seen: Seen
    ) -> Tensor:
        """Layer `index` of `x` (b f, c, h, w): (b f, width, h, w)."""
        x = self.resnets[index](x, time, frames)
        if index < len(self.attentions):
            x = self.attentions[index](x, frames, seen)
        if index < len(self.motion_modules):
            x = self.motion_modules[index](x, frames)
        return x


Visit = Callable[[str, Level, int, Tensor], Tensor]
"""(path of a level, the level, index of the layer, what goes in) -> what comes out."""


class DownLevel(Level):
    """A level on the way down; all but the last end in a halving."""

    def __init__(self, config: UNetConfig, index: int) -> None:
        width = config.widths[index]
        entering = config.widths[max(index - 1, 0)]
        super().__init__(
            config,
            index,
            [entering] + [width] * (config.layers - 1),
            transformers=config.layers if config.attention[index] else 0,
            motion_modules=config.layers,
        )
        last = index == len(config.widths) - 1
        self.downsamplers = nn.ModuleList([] if last else [Downsample(width)])


class UpLevel(Level):
    """A level on the way up: its layers get skip tensors too. All but the last double."""

    def __init__(self, config: UNetConfig, index: int) -> None:
        """`index` counts from the full size, as on the way down."""
        width = config.widths[index]
        below = config.widths[min(index + 1, len(config.widths) - 1)]
        above = config.widths[max(index - 1, 0)]
        joined = [below] + [width] * config.layers
        skips = [width] * config.layers + [above]
        super().__init__(
            config,
            index,
            [entering + skip for entering, skip in zip(joined, skips, strict=True)],
            transformers=config.layers + 1 if config.attention[index] else 0,
            motion_modules=config.layers + 1,
        )
        self.upsamplers = nn.ModuleList([Upsample(width)] if index else [])


class DownBlocks(nn.ModuleList):
    """The levels on the way down."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(DownLevel(config, index) for index in range(len(config.widths)))

    def __iter__(self) -> Iterator[DownLevel]:
        return cast("Iterator[DownLevel]", super().__iter__())


class UpBlocks(nn.ModuleList):
    """The levels on the way up, to the full size or to the level `finest`."""

    def __init__(self, config: UNetConfig, finest: int = 0) -> None:
        levels = range(finest, len(config.widths))
        super().__init__(UpLevel(config, index) for index in reversed(levels))

    def __iter__(self) -> Iterator[UpLevel]:
        return cast("Iterator[UpLevel]", super().__iter__())

    def decode(self, x: Tensor, skips: list[Tensor], visit: Visit) -> Tensor:
        """From the middle's output and the skips, which it uses up, to the full size."""
        for number, level in enumerate(self):
            for index in range(len(level.resnets)):
                joined = torch.cat([x, skips.pop()], dim=1)
                x = visit(f"up_blocks.{number}", level, index, joined)
            for upsample in level.upsamplers:
                x = upsample(x, skips[-1].shape[-2:])
        return x


class Encoder(nn.Module):
    """The half of a UNet that goes down, and the middle."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_in = nn.Conv2d(config.channels, config.widths[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(config.widths[0], config.time_width)
        self.down_blocks = DownBlocks(config)
        self.mid_block = Level(
            config,
            -1,
            [config.widths[-1]] * 2,
            transformers=1,
            motion_modules=1,
        )

    def see(
        self,
        context: Tensor | None = None,
        reference: Mapping[str, Tensor] | None = None,
        frames: int = 0,
    ) -> dict[str, Seen]:
        """What the transformers look at: worked out once, good for all frames and steps.

        context: (b or 1, m, context channels), for all samples.
        reference: what a `ReferenceUNet` gave, for the last samples of a batch. Blocks that
            it doesn't name look at their own frames only.
        frames: of the clips, for a network whose transformers look over time.

        Raises ValueError if the network wants a context or a number of frames and gets
        none, or the other way round, or if the reference names a block that isn't there.
        """
        if (context is None) != (self.config.context == 0):
            raise ValueError(
                f"the network looks at {self.config.context} channels of context, got "
                f"{'none' if context is None else tuple(context.shape)}"
            )
        if (frames == 0) == self.config.over_time:
            looks = "looks" if self.config.over_time else "doesn't look"
            raise ValueError(f"the network {looks} over time, got {frames} frames")
        reference = dict(reference or {})
        sight = {
            path: module.see(context, reference.pop(path, None), frames)
            for path, module in self.named_modules()
            if isinstance(module, SpatialTransformer)
        }
        if reference:
            raise ValueError(f"no such blocks to show a reference to: {sorted(reference)}")
        return sight

    def tell_time(self, timestep: Tensor, samples: int) -> Tensor:
        """What the residual blocks hear of `timestep`, () or (b,): (b, time_width)."""
        return nn.functional.silu(self.time_embedding(timestep.expand(samples)))

    def encode(self, x: Tensor, visit: Visit) -> tuple[Tensor, list[Tensor]]:
        """From `x` (b f, c, h, w), after `conv_in`, to the middle's output and skips."""
        x, skips = self.descend(x, visit)
        return self.turn(x, visit), skips

    def descend(self, x: Tensor, visit: Visit) -> tuple[Tensor, list[Tensor]]:
        """From `x` (b f, c, h, w), after `conv_in`, to the middle's input and skips."""
        skips = [x]
        for number, level in enumerate(self.down_blocks):
            for index in range(len(level.resnets)):
                x = visit(f"down_blocks.{number}", level, index, x)
                skips.append(x)
            for downsample in level.downsamplers:
                x = downsample(x)
                skips.append(x)
        return x, skips

    def turn(self, x: Tensor, visit: Visit) -> Tensor:
        """The middle of the network."""
        for index in range(len(self.mid_block.resnets)):
            x = visit("mid_block", self.mid_block, index, x)
        return x


ANIMATE_ANYONE = UNetConfig(motion=MotionConfig(positions=32))
MAGIC_ANIMATE = UNetConfig(
    motion=MotionConfig(positions=24, middle=False), across_frames=True
)


class Residuals(NamedTuple):
    """What a ControlNet adds: (b or 1, c, f, h, w) for each skip tensor, and the middle."""

    skips: Sequence[Tensor]
    middle: Tensor


class Descent(NamedTuple):
    """What came of the way down, which halves of guidance may have in common.

    x: what goes into the middle, (b f, c, h, w). skips: residuals are in them already.
    middle: what a ControlNet adds after the middle. time: what the residual blocks hear.
    """

    x: Tensor
    skips: Sequence[Tensor]
    middle: Tensor | None
    time: Tensor
    frames: int


class WholeUNet(Encoder):
    """Both halves of a UNet, and the way through them."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.up_blocks = UpBlocks(config)
        self.conv_norm_out = GroupNorm(
            config.groups, config.widths[0], across_frames=config.across_frames
        )
        answers = config.channels if config.answers is None else config.answers
        self.conv_out = nn.Conv2d(config.widths[0], answers, 3, padding=1)

    def answer(
        self,
        latents: Tensor,
        time: Tensor,
        sight: Sight,
        *,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
        checkpointing: bool = False,
    ) -> Tensor:
        """What the layers make of `latents` (b, channels, f, h, w), same shape.

        time: what the residual blocks hear, (b, time_width). All else: see `UNet.forward`.
        """
        visit = visitor(time, latents.shape[2], sight, checkpointing=checkpointing)
        down = self.down(latents, time, visit, pose, residuals)
        return self.up(down, visit)

    def down(
        self,
        latents: Tensor,
        time: Tensor,
        visit: Visit,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
    ) -> Descent:
        """The way down of `answer`."""
        x = self.conv_in(fold_frames(latents))
        if pose is not None:
            x = add_to_samples(x, pose)
        x, skips = self.descend(x, visit)
        if residuals is None:
            return Descent(x, skips, None, time, latents.shape[2])
        skips = [
            add_to_samples(skip, extra)
            for skip, extra in zip(skips, residuals.skips, strict=True)
        ]
        return Descent(x, skips, residuals.middle, time, latents.shape[2])

    def up(self, down: Descent, visit: Visit) -> Tensor:
        """The middle and the way up of `answer`."""
        x = self.turn(down.x, visit)
        if down.middle is not None:
            x = add_to_samples(x, down.middle)
        x = self.up_blocks.decode(x, list(down.skips), visit)
        x = self.conv_out(F.silu(self.conv_norm_out(x, down.frames), inplace=True))
        return unfold_frames(x, down.frames)


class UNet(WholeUNet):
    """Predicts, from noisy latents, what a sampler needs to make them less noisy."""

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        sight: Sight,
        *,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
        checkpointing: bool = False,
    ) -> Tensor:
        """The prediction for `latents` (b, channels, f, h, w), same shape.

        timestep: (), or (b,) for one per sample.
        sight: what `see` gave.
        pose: (b or 1, widths[0], f, h, w), added to the features of the first convolution.
        residuals: what a ControlNet adds to the skip tensors and to the middle.
        checkpointing: recompute layers in the backward pass instead of keeping them.
        """
        return self.answer(
            latents,
            self.tell_time(timestep, len(latents)),
            sight,
            pose=pose,
            residuals=residuals,
            checkpointing=checkpointing,
        )

    def halfway(
        self,
        latents: Tensor,
        timestep: Tensor,
        sight: Sight,
        *,
        residuals: Residuals | None = None,
    ) -> Descent:
        """The way down of `forward`, for whoever looks at the same things on it."""
        time = self.tell_time(timestep, len(latents))
        visit = visitor(time, latents.shape[2], sight)
        return self.down(latents, time, visit, None, residuals)

    def rest(self, half: Descent, sight: Sight, rows: int = 1) -> Tensor:
        """The prediction from one sample's way down on, (rows, channels, f, h, w).

        rows: samples that differ from here on, by what `sight` says.
        """
        if rows > 1:
            x, *skips = (torch.cat([each] * rows) for each in (half.x, *half.skips))
            time = half.time.expand(rows, -1)
            half = half._replace(x=x, skips=skips, time=time)
        return self.up(half, visitor(half.time, half.frames, sight))


def visitor(
    time: Tensor, frames: int, sight: Sight, *, checkpointing: bool = False
) -> Visit:
    """How a layer is called, whichever half it is in; arguments are those of `answer`."""

    def visit(path: str, level: Level, index: int, x: Tensor) -> Tensor:
        seen = sight.get(f"{path}.attentions.{index}", NOTHING_SEEN)
        if checkpointing:
            return checkpoint(level, index, x, time, frames, seen, use_reentrant=False)
        return level(index, x, time, frames, seen)

    return visit


CINEMO: Final = UNetConfig(across_frames=True, over_time=True)

MOTION_WAVES: Final = 256
"""Channels of the sinusoids that tell how much motion there is."""


class MotionUNet(WholeUNet):
    """Predicts the noise in residuals: latents of frames minus those of the first."""

    def __init__(self, config: UNetConfig, motion_waves: int = MOTION_WAVES) -> None:
        super().__init__(config)
        self.add_embedding = TimestepEmbedding(motion_waves, config.time_width)
        nn.init.zeros_(self.add_embedding.linear_2.weight)  # no effect until trained

    def see_clip(self, text: Tensor, frames: int) -> Sight:
        """What the transformers look at besides the pictures; good for all steps.

        text: (b or 1, m, context channels).
        frames: residuals in a clip; the first frame comes on top.
        """
        return self.see(text, frames=1 + frames)

    def forward(
        self,
        residuals: Tensor,
        timestep: Tensor,
        sight: Sight,
        *,
        first: Tensor,
        motion: Tensor,
        checkpointing: bool = False,
    ) -> Tensor:
        """The noise in `residuals` (b, channels, f, h, w), same shape.

        timestep: (), or (b,) for one per sample.
        sight: what `see_clip` gave.
        first: clean latents of the first frame, (b, channels, 1, h, w).
        motion: what `add_embedding` said of how much motion there is, (b or 1, time_width).
        checkpointing: recompute layers in the backward pass instead of keeping them.
        """
        clip = torch.cat([first, first + residuals], dim=2)  # (b, channels, 1 + f, h, w)
        time = F.silu(self.time_embedding(timestep.expand(len(clip))) + motion)
        return self.answer(clip, time, sight, checkpointing=checkpointing)[:, :, 1:]
