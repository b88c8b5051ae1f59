"""One slot's part of a render that is split: prepared once, then asked for predictions."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from animcli.cli.main import parse
from animcli.cli.plan import Desk
from animcli.cli.runner import plan, set_up, steps_of
from animcli.errors import InputError
from animcli.pipeline.executor import State, Workshop
from animcli.pipeline.record import Recipe
from animcli.pipeline.stage import Bench, Report
from animcli.rendering.guidance import Half
from animcli.rendering.split import Captured, Prepared, Unit, capturing
from animcli.stages.render import RenderStage

_prepared: list[Prepared] = []


def prepare(request: Mapping[str, Any], report: Report) -> None:
    """Get the first render of a line that isn't done as far as being able to predict."""
    line = parse(request["words"])
    desk = set_up(line.options, report)
    workshop = Workshop(desk.project, desk.weights, report)
    stage = unfinished(desk, workshop, request)
    with bench_of(workshop, stage, desk) as bench, capturing():
        try:
            stage.run(bench)
        except Captured as captured:
            _prepared[:] = [captured.prepared]


def unfinished(desk: Desk, workshop: Workshop, request: Mapping[str, Any]) -> RenderStage:
    """The first render of a line that isn't done. Raises InputError if all are."""
    for planned in plan(parse(request["words"]).requests, desk):
        for step in steps_of(planned):
            for each in workshop.forecast(step.stage):
                if isinstance(each.stage, RenderStage) and each.state is not State.DONE:
                    return each.stage
    raise InputError("there is no render left to help with")


@contextmanager
def bench_of(workshop: Workshop, stage: RenderStage, desk: Desk) -> Iterator[Bench]:
    """What a stage works with, in a folder that goes: nothing of it is kept."""
    paths = {
        name: source.absolute() if isinstance(source, Path) else workshop.make(source).path
        for name, source in stage.inputs().items()
    }
    weights = {name: desk.weights.path(name) for name in stage.weights}
    with tempfile.TemporaryDirectory() as scratch:
        yield Bench(
            inputs=paths,
            recipe=Recipe(stage.name, stage.revision, {}, {}, {}, {}),
            out=Path(scratch) / "out",
            work=Path(scratch) / "work",
            weights=weights,
            report=workshop.report,
            note=workshop.note,
            may_stop=lambda: None,
        )


def predict(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the prediction for one unit to a file; the answer says where."""
    half = None if request["half"] is None else Half(request["half"])
    seen = torch.from_numpy(np.load(request["latents"]))
    unit = Unit(request["window"], half)
    said = _prepared[0].predict(request["step"], seen, unit)
    np.save(request["said"], said.float().cpu().numpy())
    return {"said": request["said"]}
