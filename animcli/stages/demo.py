"""A driving video and a reference picture that the package draws itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.files import atomic_path, make_folder
from animcli.pipeline.stage import RunContext, Stage
from animcli.registry import DEFAULT_RATE

if TYPE_CHECKING:  # numpy
    import numpy as np
    from numpy.typing import NDArray

TRUTH: Final = "truth.pose"
"""In the folder of a drawn dance: the keypoints that it was drawn from."""


@dataclass(frozen=True)
class DrawDance(Stage):
    """Draws a dancer; makes a folder of lossless frames, with the true keypoints in it.

    figure, dance: the seeds that the person and the motion grow from.
    size: `(width, height)`.
    """

    name: ClassVar[str] = "draw-dance"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("av", "numpy", "opencv-python-headless")

    figure: int = 1
    dance: int = 1
    frames: int = 96
    rate: Fraction = DEFAULT_RATE
    size: tuple[int, int] = (384, 512)

    def run(self, context: RunContext) -> None:
        import numpy as np

        from animcli.pose.io_pose import write_pose
        from animcli.pose.keypoints import BODY, KEYPOINTS
        from animcli.pose.sequence import PoseSequence, even_ticks
        from animcli.stages.frames import make_frames
        from animcli.synthetic.camera import CameraShot
        from animcli.synthetic.character import Character
        from animcli.synthetic.dance import Dance
        from animcli.synthetic.scene import Scene

        scene = Scene(
            Character.from_seed(self.figure),
            Dance.from_seed(self.dance),
            CameraShot(backdrop=self.figure),
        )
        rate = float(self.rate)

        def drawn(span: range) -> "Iterator[NDArray[np.uint8]]":
            start = span.start / rate
            for drawing in scene.drawings(len(span), self.size, rate, start):
                yield drawing.picture

        keypoints = scene.keypoints(self.frames, self.size, rate)
        points = np.zeros((self.frames, KEYPOINTS, 2), np.float32)
        scores = np.zeros((self.frames, KEYPOINTS), np.float32)
        points[:, BODY], scores[:, BODY] = keypoints[..., :2], 1
        ticks, time_base = even_ticks(self.frames, self.rate)
        truth = PoseSequence(points, scores, ticks, time_base, self.size)
        with atomic_path(make_folder(context.out) / TRUTH) as part:
            write_pose(part, truth)
        make_frames(context, "drawing a dancer", drawn, self.frames, self.size, self.rate)


@dataclass(frozen=True)
class DrawFigure(Stage):
    """Draws a character that stands still: a reference picture.

    figure: the seed that the person grows from.
    size: `(width, height)`.
    """

    name: ClassVar[str] = "draw-figure"
    revision: ClassVar[int] = 2
    suffix: ClassVar[str] = ".png"
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "opencv-python-headless", "pillow")

    figure: int = 2
    size: tuple[int, int] = (512, 768)

    def run(self, context: RunContext) -> None:
        from animcli.synthetic.body import at_rest, pose_figure
        from animcli.synthetic.camera import CameraShot
        from animcli.synthetic.character import Character
        from animcli.synthetic.draw import draw
        from animcli.video.images import write_picture

        figure = Character.from_seed(self.figure)
        (pose,) = pose_figure(at_rest(), figure.proportions)
        drawing = draw(figure, pose, CameraShot(backdrop=self.figure), self.size)
        with atomic_path(context.out) as part:
            write_picture(part, drawing.picture)
