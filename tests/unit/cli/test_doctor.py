"""The doctor tries things instead of believing what is said about them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from animcli.cli.config import Layers
from animcli.cli.doctor import State, examine, identity_model, room, weights
from animcli.cli.plan import Desk, LineOptions
from animcli.pipeline.project import Project
from animcli.weights.store import WeightsStore


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(
        Project(tmp_path, tmp_path / "cache"),
        WeightsStore(tmp_path / "weights"),
        Layers({}, {}, (), tmp_path),
        LineOptions(),
        lambda what, done, of: None,
    )


def test_the_smallest_model_gives_back_what_it_is_given() -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is an extra")
    session = onnxruntime.InferenceSession(
        identity_model(), providers=["CPUExecutionProvider"]
    )
    (given,) = session.run(None, {"x": np.array([1.5], np.float32)})
    assert given.tolist() == [1.5]


def test_weights_that_are_missing_come_with_the_command(desk: Desk) -> None:
    finding = next(each for each in weights(desk) if each.fact.startswith("dwpose"))
    assert finding.state is State.WARN
    assert finding.advice == "anim weights pull dwpose"


def test_a_cache_that_can_be_written_is_fine(desk: Desk) -> None:
    assert {finding.state for finding in room(desk)} <= {State.OK, State.WARN}


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="needs a folder nobody can fill"
)
def test_a_cache_that_cannot_be_written_is_bad_and_ends_with_6(desk: Desk) -> None:
    desk = replace(desk, project=Project(Path("/proc"), Path("/proc/anim")))
    cache = next(finding for finding in room(desk) if finding.name == "cache")
    assert cache.state is State.BAD
    assert cache.fact.startswith("/proc/anim can't be written: ")
    assert cache.advice == "choose another place with --cache-dir"
    assert examine(desk).exit_code == 6
