"""Calls of the network for a window, in as much memory as there is.

The plan is made from what is free; should it be too little all the same, the call is made
again in less: without weights that only wait for another render, then the halves of
guidance one after the other, then feed-forward layers in parts. That changes frames by no
more than rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from torch import Tensor, nn

from animcli.networks.attention import work_in_parts, works_in_parts
from animcli.networks.unet_blocks import Deep
from animcli.rendering.context import ContextWindow
from animcli.rendering.guidance import (
    HALF,
    CFGInputs,
    Condition,
    Guidance,
    Half,
    ModelFn,
    predict_both,
)
from animcli.rendering.kept import let_go
from animcli.rendering.loading import free_memory, is_out_of_memory
from animcli.rendering.reuse import NO_REUSE, Reuse, StepCache


@dataclass(frozen=True)
class MemoryPlan:
    """Plan of how the calls for a window share the memory.

    cfg_batch: both halves of guidance in one call.
    in_parts: feed-forward layers take a part of the tokens at once.
    warm: the first window is predicted both with and without guidance, so that a compiled
        network meets all shapes at the start, not in the middle.
    warn: told what was changed.
    """

    cfg_batch: bool = False
    in_parts: bool = False
    warm: bool = False
    warn: Callable[[str], None] = lambda line: None


CFG_BATCH_OFF: Final = MemoryPlan()
"""Halves of guidance one after the other, and nothing else."""

SPLIT_CFG_BATCH: Final = "memory ended: the halves of guidance go in two calls from here on"
CHUNK_FEED_FORWARD: Final = "memory ended: feed-forward layers work in parts from here on"


DeepModelFn: TypeAlias = Callable[[Tensor, Condition, Deep | None], Tensor]
"""`ModelFn`, with features of an earlier step, or for later ones."""


class WindowCalls:
    """Predictions of one network for windows, step after step."""

    def __init__(
        self,
        network: nn.Module,
        guidance: Guidance,
        memory_plan: MemoryPlan,
        reuse: Reuse = NO_REUSE,
    ) -> None:
        self._cache = StepCache(reuse)
        self._network = network
        self._guidance = guidance
        self._memory_plan = memory_plan
        self._cfg_batch = memory_plan.cfg_batch
        self._is_warm = not memory_plan.warm
        if memory_plan.in_parts:
            work_in_parts(network)

    def predict(
        self,
        part: Tensor,
        model: "DeepModelFn[Condition]",
        *,
        step: int,
        window: ContextWindow,
        guided: bool,
        inputs: CFGInputs[Condition],
    ) -> Tensor:
        """`Guidance.predict` at a step, in less memory where it ends."""
        if not self._is_warm:
            self._is_warm = True
            if self._guidance.changes:
                self.predict(
                    part, model, step=step, window=window, guided=not guided, inputs=inputs
                )

        def with_deep(clips: Tensor, kv_cache: Condition) -> Tensor:
            halves = [Half.PLAIN if kv_cache is inputs.uncond else Half.SHOWN]
            if len(clips) == 2:
                halves = [Half.PLAIN, Half.SHOWN]
            return self._cache.through(
                step, window, halves, lambda deep: model(clips, kv_cache, deep)
            )

        while True:
            seen = inputs if self._cfg_batch else replace(inputs, batched=None)
            try:
                return self._at_step(part, seen, with_deep, step, window, guided=guided)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if not let_go() and not self._spare(guided=guided):
                    raise
            # Only here are the tensors of the failed call gone, with its error.
            free_memory(part.device)

    def _at_step(
        self,
        part: Tensor,
        inputs: CFGInputs[Condition],
        model: ModelFn[Condition],
        step: int,
        window: ContextWindow,
        *,
        guided: bool,
    ) -> Tensor:
        """`Guidance.predict`, without the unconditional half where that is reused."""
        guidance, cache = self._guidance, self._cache
        if not guided or cache.reuse.unconditional == 1 or HALF.get() is not None:
            return guidance.predict(part, inputs, model, guided=guided)
        if (gap := cache.gap(step, window)) is not None:
            shown = guidance.predict(part, inputs, model, guided=False)
            return guidance.combine(shown - gap, shown)
        plain, shown = predict_both(part, inputs, model)
        cache.gaps[window.frames] = shown - plain
        return guidance.combine(plain, shown)

    def _spare(self, *, guided: bool) -> bool:
        """Plan with less; whether there was anything left to save."""
        if self._cfg_batch and guided:
            self._cfg_batch = False
            self._memory_plan.warn(SPLIT_CFG_BATCH)
        elif not works_in_parts(self._network):
            work_in_parts(self._network)
            self._memory_plan.warn(CHUNK_FEED_FORWARD)
        else:
            return False
        return True
