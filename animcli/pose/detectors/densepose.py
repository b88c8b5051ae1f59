"""A DensePose R-CNN: the parts of everybody in a picture.

The network is an export of detectron2's `densepose_rcnn_R_50_FPN_DL_s1x` that runs without
detectron2, as TorchScript or as ONNX; both have the signature of the published TorchScript
(Hugging Face, LayerNorm/DensePose-TorchScript-with-hint-image):

    in   picture (3, h, w) uint8 RGB
    out  boxes (n, 4) float32 of people, left, top, right, bottom in pixels
         coarse (n, 2, s, s) float32, background and body; s is 112
         fine (n, 25, s, s) float32, one map for each part index
         and charts u, v, of which nothing is needed here

A TorchScript is a program. What it may do isn't confined; take it from whom you trust.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.errors import WeightsError
from animcli.pose.detectors.onnx import OnnxNetwork

FILE: Final = "densepose_r50_fpn_dl.torchscript"
"""Its name in the store, whichever of the two it is."""

NetworkOutputs: TypeAlias = "Sequence[NDArray[np.float32]]"
RunNetwork: TypeAlias = "Callable[[NDArray[np.uint8]], NetworkOutputs]"

OUTPUT_CHANNELS: Final = {"coarse": 2, "fine": 25}


class DensePoseNetwork:
    """Finds parts; remembers nothing from one picture to the next.

    models: the folder with the file. device: `cpu`, or `cuda`. threads: of a run in ONNX.
    """

    def __init__(self, models: Path, *, device: str = "cpu", threads: int = 1) -> None:
        self._file = models / FILE
        self._ask = open_network(self._file, device, threads)

    def parts(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Part indices `(h, w)` uint8 of a picture `(h, w, 3)` uint8 RGB; 0 is nobody.

        Raises WeightsError where the network answers something else than expected.
        """
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
        answer = self._ask(planes)
        if len(answer) < 3:
            raise self._stranger(f"{len(answer)} outputs")
        boxes, coarse, fine = answer[:3]
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise self._stranger(f"boxes {boxes.shape}")
        for name, maps in (("coarse", coarse), ("fine", fine)):
            if maps.ndim != 4 or maps.shape[:2] != (len(boxes), OUTPUT_CHANNELS[name]):
                raise self._stranger(f"{name} maps {maps.shape} for {len(boxes)} people")
        found = np.zeros(picture.shape[:2], np.uint8)
        for box, body, part in zip(boxes, coarse, fine, strict=True):
            lay(found, box, body, part)
        return found

    def _stranger(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self._file}: gives {what}; boxes (n, 4), coarse maps (n, 2, s, s) and fine "
            "maps (n, 25, s, s) were expected",
            "is it an export of densepose_rcnn_R_50_FPN_DL_s1x?",
        )


def lay(
    found: NDArray[np.uint8],
    box: NDArray[np.float32],
    coarse: NDArray[np.float32],
    fine: NDArray[np.float32],
) -> None:
    """Put one person into `found` `(h, w)`, over whoever is there, as detectron2 does.

    box: `(4,)`. coarse: `(2, s, s)`. fine: `(25, s, s)`. Both are brought to the size of
    the box; a pixel has the likeliest part where it is likelier body than background.
    """
    left, top = (int(value) for value in box[:2])
    width, height = (max(int(value), 1) for value in box[2:] - box[:2])
    body = resized(coarse, width, height).argmax(axis=2) > 0
    parts = (resized(fine, width, height).argmax(axis=2) * body).astype(np.uint8)
    # Boxes lie within the picture but for rounding.
    cut_left, cut_top = max(-left, 0), max(-top, 0)
    window = found[top + cut_top : top + height, left + cut_left : left + width]
    parts = parts[cut_top:, cut_left:][: window.shape[0], : window.shape[1]]
    window[parts > 0] = parts[parts > 0]


def resized(maps: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """`(channels, s, s)` to `(height, width, channels)`, linearly."""
    channels_last = np.ascontiguousarray(maps.transpose(1, 2, 0), np.float32)
    scaled = cv2.resize(channels_last, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled, np.float32)


def open_network(file: Path, device: str, threads: int) -> RunNetwork:
    """A function that asks the network in a file, TorchScript (a zip) or ONNX.

    Raises WeightsError for a file that is neither, or that lacks what it runs on.
    """
    with file.open("rb") as start:
        if start.read(2) == b"PK":
            return open_torchscript(file, device)
    return OnnxNetwork(file, device, threads).run_once


def open_torchscript(file: Path, device: str) -> RunNetwork:
    """As `open_network`, for TorchScript."""
    import torch  # takes seconds, and ONNX needs none of it

    if importlib.util.find_spec("torchvision"):
        importlib.import_module("torchvision")  # the published network calls its operators
    try:
        network = torch.jit.load(file, map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if "torchvision" in str(error):
            raise WeightsError(
                f"{file}: needs the operators of torchvision",
                "pip install 'animcli[densepose]'",
            ) from error
        raise WeightsError(
            f"{file}: isn't a whole TorchScript that this torch can run",
            "pull or import it again",
        ) from error

    def ask(picture: NDArray[np.uint8]) -> NetworkOutputs:
        with torch.inference_mode():
            answer = network(torch.from_numpy(picture).to(device))
        return [tensor.float().cpu().numpy() for tensor in answer]

    return ask
