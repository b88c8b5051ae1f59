"""Classifier-free guidance (CFG), with rescale and an interval of steps.

Source: Ho and Salimans, "Classifier-Free Diffusion Guidance", arXiv:2207.12598.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from torch import Tensor

from animcli.presets import Preset
from animcli.registry import Trait


class Half(Enum):
    """One of the two predictions that guidance combines."""

    PLAIN = "plain"
    SHOWN = "shown"


HALF: ContextVar[Half | None] = ContextVar("half", default=None)
"""The only half that is wanted, where the other one is predicted elsewhere."""

Condition = TypeVar("Condition")
"""A network's condition: `KVCache` of those written here."""

ModelFn: TypeAlias = Callable[[Tensor, Condition], Tensor]
"""(noisy clips (rows, c, f, h, w), what to look at) -> the prediction, same shape."""


@dataclass(frozen=True)
class CFGInputs(Generic[Condition]):
    """Keys and values for both halves of classifier-free guidance.

    batched: the two as rows of one call, faster on a GPU, in twice the memory; None where
        they are asked for one after the other.
    """

    uncond: Condition
    cond: Condition
    batched: Condition | None = None


@dataclass(frozen=True)
class Guidance:
    """Scale of classifier-free guidance, and the steps that it works at.

    scale: 1 is the conditional prediction itself; more goes beyond it.
    start, stop: fractions of the steps, between which there is guidance. Source:
        Kynkäänniemi et al., arXiv:2404.07724, who give the interval in noise levels.
    rescale: how far to bring a frame's contrast back to that of the conditional
        prediction, 0..1. Source: Lin et al., arXiv:2305.08891, section 3.4.
    """

    scale: float
    start: float = 0
    stop: float = 1
    rescale: float = 0

    @classmethod
    def of(cls, preset: Preset) -> "Guidance":
        """Guidance of a preset."""
        alike = preset.has(Trait.MOTION_FROM) and preset.prompt == preset.negative_prompt
        return cls(
            1 if alike else preset.guidance,
            preset.guidance_start,
            preset.guidance_stop,
            preset.guidance_rescale,
        )

    @property
    def changes(self) -> bool:
        """Tell if some steps have guidance and others don't."""
        return self.scale > 1 and (self.start > 0 or self.stop < 1)

    def works_at(self, step: int, steps: int) -> bool:
        """Tell if step `step` of `steps` needs the unconditional prediction too."""
        return self.scale > 1 and self.start <= step / steps < self.stop

    def predict(
        self,
        part: Tensor,
        inputs: CFGInputs[Condition],
        model: ModelFn[Condition],
        *,
        guided: bool,
    ) -> Tensor:
        """Predict for a window (f, c, h, w), same shape, float32.

        part: on the network's device, in its dtype.
        guided: whether `works_at` says so of the step.
        """
        if HALF.get() is Half.PLAIN:
            return asked(part, inputs.uncond, model)[0]
        if not guided or HALF.get() is Half.SHOWN:
            return asked(part, inputs.cond, model)[0]
        return self.combine(*predict_both(part, inputs, model))

    def combine(self, uncond: Tensor, cond: Tensor) -> Tensor:
        """The prediction from those without and with the condition, (f, c, h, w) each."""
        guided = uncond + self.scale * (cond - uncond)
        if not self.rescale:
            return guided
        dims = (1, 2, 3)  # each frame by itself, so that windows don't matter
        restored = guided * (cond.std(dims, keepdim=True) / guided.std(dims, keepdim=True))
        return self.rescale * restored + (1 - self.rescale) * guided


def predict_both(
    part: Tensor, inputs: CFGInputs[Condition], model: ModelFn[Condition]
) -> tuple[Tensor, Tensor]:
    """Predictions for a window (f, c, h, w) without the condition and with it, same shape,
    float32.
    """
    if inputs.batched is not None:
        uncond, cond = asked(part, inputs.batched, model, rows=2)
        return uncond, cond
    return asked(part, inputs.uncond, model)[0], asked(part, inputs.cond, model)[0]


def asked(
    part: Tensor, condition: Condition, model: ModelFn[Condition], rows: int = 1
) -> Tensor:
    """The answer for a window (f, c, h, w) in so many rows, (rows, f, c, h, w) float32."""
    clip = part.transpose(0, 1)[None]  # (1, c, f, h, w)
    answer = model(clip.expand(rows, -1, -1, -1, -1), condition)
    return answer.transpose(1, 2).float()
