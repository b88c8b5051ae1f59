"""One slot's part of a render that is split: prepared once, then asked for predictions, and
for frames."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from animcli.cli.main import parse_line
from animcli.cli.plan import Context
from animcli.cli.runner import open_context, plan_commands, steps_of
from animcli.errors import InputError
from animcli.pipeline.executor import Executor, StageState
from animcli.pipeline.record import CacheKey
from animcli.pipeline.stage import Progress, RunContext
from animcli.rendering.guidance import Half
from animcli.rendering.loading import enough_memory
from animcli.rendering.split import Captured, Prepared, Unit, capturing
from animcli.stages.render import RenderStage

_prepared: list[Prepared] = []


def prepare(request: Mapping[str, Any], progress: Progress) -> None:
    """Get the first render of a line that isn't done as far as being able to do a part."""
    line = parse_line(request["words"])
    context = open_context(line.options, progress)
    executor = Executor(context.project, context.weights, progress)
    stage = unfinished(context, executor, request)
    with run_context(executor, stage, context) as run, capturing():
        try:
            stage.run(run)
        except Captured as captured:
            _prepared[:] = [captured.prepared]


def unfinished(
    context: Context, executor: Executor, request: Mapping[str, Any]
) -> RenderStage:
    """The first render of a line that isn't done. Raises InputError if all are."""
    for plan in plan_commands(parse_line(request["words"]).commands, context):
        for step in steps_of(plan):
            for each in executor.dry_run(step.stage):
                if (
                    isinstance(each.stage, RenderStage)
                    and each.state is not StageState.DONE
                ):
                    return each.stage
    raise InputError("there is no render left to help with")


@contextmanager
def run_context(
    executor: Executor, stage: RenderStage, context: Context
) -> Iterator[RunContext]:
    """Run context of a stage, in a folder that goes: nothing of it is kept."""
    paths = {
        name: source.absolute() if isinstance(source, Path) else executor.make(source).path
        for name, source in stage.inputs().items()
    }
    weights = {name: context.weights.path(name) for name in stage.weights}
    with tempfile.TemporaryDirectory() as scratch:
        yield RunContext(
            inputs=paths,
            cache_key=CacheKey(stage.name, stage.revision, {}, {}, {}, {}),
            out=Path(scratch) / "out",
            work=Path(scratch) / "work",
            weights=weights,
            progress=executor.progress,
            warn=executor.warn,
            check_cancelled=lambda: None,
        )


def predict(request: Mapping[str, Any]) -> None:
    """Write the prediction for one unit to a file."""
    half = None if request["half"] is None else Half(request["half"])
    seen = torch.from_numpy(np.load(request["latents"]))
    unit = Unit(request["window"], half)
    with enough_memory("denoising", "a smaller --window or --size needs less memory"):
        said = _prepared[0].predict(request["step"], seen, unit)
    np.save(request["said"], said.float().cpu().numpy())


def decode_part(request: Mapping[str, Any]) -> None:
    """Write the pictures of some frames to a file."""
    part = np.load(request["latents"])[request["start"] : request["stop"]]
    np.save(request["said"], _prepared[0].decode(torch.from_numpy(part)))
