"""Work of the page's child processes: jobs as a batch has them, and answers.

`animcli.batch.worker` calls `work`; requests beside those of `animcli.cli.batch.job`:

    {"do": "act", "words": [...]}        a line that makes no file: its answer
    {"do": "make", "words": [...]}       the last stage of a line, made at once
    {"do": "people" | "find" | "stand-in" | "samples" | "device", ...}
    {"do": "preview" | "decoded", "words": [...]}      of a render that isn't done
    {"do": "facts" | "pose" | "frame", "path": ...}    see `animcli.web.look`
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from animcli.batch.worker import TellProgress
from animcli.cli.batch import job
from animcli.cli.batch.job import JobConsole
from animcli.cli.doctor import device
from animcli.cli.main import guarded, parse_line
from animcli.cli.plan import Action, Context, GlobalOptions
from animcli.cli.runner import open_context, plan_commands, steps_of
from animcli.errors import AnimError, UsageError
from animcli.pipeline.executor import Executor, StageState
from animcli.pipeline.output import Step
from animcli.stages.demo import DrawDance, DrawFigure
from animcli.stages.encode import EncodeStage
from animcli.stages.fitting import Fit
from animcli.stages.reference import FindPose, FitClip
from animcli.stages.render import RenderStage
from animcli.video.limits import allowing
from animcli.web import look
from animcli.web.studio import DECODED_PARTS

AT_ONCE: Final = frozenset({"correct-pose", "retarget", "fit-picture", "find-pose"})
"""Stages that take moments, so that nobody has to wait for them in a queue."""
STAND_IN: Final = 720
"""Lines of a video that browsers play, in the place of one that they don't."""

SAMPLE: Final = 22
"""Number of the drawn people: those of `anim demo`."""
SAMPLE_FRAMES: Final = 48


def work(request: Mapping[str, Any], tell: TellProgress) -> dict[str, Any]:
    """Do a request; the answer, with its exit code."""
    if request["do"] in ("run", "ask"):
        return job.run_request(request, tell)
    os.chdir(request["folder"])
    os.environ.update(request["places"])
    console = JobConsole(quiet=True, as_json=True, tell=tell)
    answer: dict[str, Any] = {}

    def run() -> int:
        places = request["places"]
        project, cache = Path(places["ANIM_PROJECT"]), Path(places["ANIM_CACHE_DIR"])
        context = open_context(GlobalOptions(project, cache), console.progress)
        with allowing(context.config.options({}).max_pixels):
            answer.update(answered(request, context, console))
        return 0

    code = guarded(lambda stop: run(), console)
    error = console.error or {}
    told = {"error": error.get("message", ""), "hint": error.get("hint", "")}
    return {**answer, **told, "exit_code": code}


def answered(
    request: Mapping[str, Any], context: Context, console: JobConsole
) -> dict[str, Any]:
    """The answer to a question. Raises AnimError."""
    executor = Executor(context.project, context.weights, warn=console.note)
    kind = request["do"]
    if kind == "act":
        return act(request["words"], context)
    if kind == "make":
        return make(request["words"], context, executor, console)
    if kind == "people":
        return {"facts": people(Path(request["path"]), context, executor)}
    if kind == "stand-in":
        return {"digest": stand_in(Path(request["path"]), executor)}
    if kind in ("preview", "decoded"):
        key = render_key(request["words"], context, executor)
        if key is None:
            return {}
        work = executor.store.work_of(key)
        if kind == "preview":
            return look.preview(work)
        return look.video_so_far(work, decoded_folder(context, key), request["after"])
    if kind == "device":
        return {"device": [asdict(each) for each in device(context)]}
    if kind == "samples":
        return {"files": samples(executor)}
    if kind == "find":
        name = request["detector"]
        models = None
        for entry in FindPose(Path(), name).weights:
            models = context.weights.ensure(entry)
        place = (request["x"], request["y"], request["size"])
        return look.find(Path(request["path"]), request["frame"], *place, name, models)
    return look.answer(request)


def act(words: list[str], context: Context) -> dict[str, Any]:
    """Run a line that makes no file, or makes its files at once; what it says."""
    line = parse_line(words)
    for mistake in line.mistakes:
        raise mistake
    results: list[object] = []
    lines: list[str] = []
    for plan in plan_commands(line.commands, context):
        for entry in plan.tasks:
            if isinstance(entry, Action):
                said = entry.run(context)
                results += said.data
                lines += said.lines
    return {"results": results, "lines": lines}


def make(
    words: list[str], context: Context, executor: Executor, console: JobConsole
) -> dict[str, Any]:
    """Make the last stage of a line, if what takes long is there already."""
    stage = last_step(words, context).stage
    for each in executor.dry_run(stage):
        if each.state is not StageState.DONE and each.stage.name not in AT_ONCE:
            raise UsageError(
                f"{each.stage.name} isn't done yet",
                "find the motion first, then correct it",
            )
    made = executor.make(stage)
    return {"digest": made.digest, "notes": console.warnings}


def last_step(words: list[str], context: Context) -> Step:
    """The last step of a line. Raises UsageError where there is none."""
    line = parse_line(words)
    for mistake in line.mistakes:
        raise mistake
    steps = [
        step for each in plan_commands(line.commands, context) for step in steps_of(each)
    ]
    if not steps:
        raise UsageError("this makes nothing")
    return steps[-1]


def people(picture: Path, context: Context, executor: Executor) -> dict[str, Any]:
    """Count the people in a picture, as a render would; 1, or 0 and the problem."""
    stage = FindPose(picture, context.config.options({}).detector)
    for name in stage.weights:
        context.weights.ensure(name)
    try:
        return {"people": 1, "pose": executor.make(stage).digest}
    except AnimError as error:
        message = error.message.replace(f"{picture}: ", "")
        return {"people": 0, "problem": message, "advice": error.hint}


def stand_in(video: Path, executor: Executor) -> str:
    """The digest of a small H.264 video of the same frames."""
    size = look.facts(video).get("size")
    if size is None:
        raise UsageError("this isn't a video")
    scale = min(1.0, STAND_IN / size[1])
    small = (max(64, int(size[0] * scale) // 8 * 8), max(64, int(size[1] * scale) // 8 * 8))
    stage = EncodeStage(FitClip(video, small, Fit.CROP), ".mp4")
    return executor.make(stage).digest


def samples(executor: Executor) -> list[tuple[str, str]]:
    """Files of a drawn dancer and a drawn character, and what they are called."""
    dance = EncodeStage(DrawDance(figure=SAMPLE, dance=SAMPLE, frames=SAMPLE_FRAMES))
    figure = DrawFigure(figure=SAMPLE + 1, size=(512, 768))
    made = [(executor.make(stage), name) for stage, name in (
        (dance, "dance.mp4"), (figure, "ref.png"),
    )]  # fmt: skip
    return [(str(each.path), name) for each, name in made]


def render_key(words: list[str], context: Context, executor: Executor) -> str | None:
    """The cache key of the render in words that isn't done; None where there is none."""
    stage = last_step(words, context).stage
    for each in executor.dry_run(stage):
        if isinstance(each.stage, RenderStage) and each.key is not None:
            return each.key
    return None


def decoded_folder(context: Context, key: str) -> Path:
    """The folder for what is encoded of a render in progress; those of others go."""
    folder = context.project.cache.joinpath(*DECODED_PARTS)
    for each in folder.iterdir() if folder.is_dir() else ():
        if not context.project.cache.joinpath("work", each.name).is_dir():
            shutil.rmtree(each, ignore_errors=True)
    return folder / key
