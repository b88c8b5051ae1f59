"""Side by side: the reference, the motion, the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from animcli.stages.render import RenderStage
from animcli.stages.stage import Bench, Source, settings_of


@dataclass(frozen=True)
class CompareStage:
    """Puts reference, drawn motion and result side by side; makes a folder of frames."""

    name: ClassVar[str] = "compare"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("av", "opencv-python-headless")

    render: RenderStage

    def inputs(self) -> Mapping[str, Source]:
        raise NotImplementedError

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        raise NotImplementedError
