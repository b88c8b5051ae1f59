"""The doctor tries things instead of believing what is said about them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from animcli.cli import doctor
from animcli.cli.config import ConfigSources
from animcli.cli.doctor import CheckState, disk_space, examine, weights
from animcli.cli.plan import Context, GlobalOptions
from animcli.pipeline.project import Project
from animcli.weights.store import WeightsStore


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(
        Project(tmp_path, tmp_path / "cache"),
        WeightsStore(tmp_path / "weights"),
        ConfigSources({}, {}, (), tmp_path),
        GlobalOptions(),
        lambda what, done, of: None,
    )


def test_a_torch_for_processors_beside_an_nvidia_driver_gets_the_line_to_type(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    (finding,) = doctor.device(context)
    assert finding.state is CheckState.WARN
    assert "built for cpu" in finding.fact
    assert "pip install --force-reinstall torch --index-url https://" in finding.advice


@pytest.mark.parametrize(
    ("capability", "runs"),
    [((8, 9), True), ((8, 0), True), ((12, 0), True), ((7, 0), False), ((9, 0), False)],
)
def test_a_card_that_torch_has_no_kernels_for_is_bad(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], runs: bool
) -> None:
    about = SimpleNamespace(
        name="card", total_memory=8e9, major=capability[0], minor=capability[1]
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: about)
    made_for = ["sm_75", "sm_80", "sm_86", "sm_120"]
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: made_for)
    finding = doctor.card(0)
    assert finding.state is (CheckState.OK if runs else CheckState.BAD)
    assert ("no kernels for compute capability" in finding.fact) is not runs


def test_weights_that_are_missing_come_with_the_command(context: Context) -> None:
    finding = next(each for each in weights(context) if each.fact.startswith("dwpose"))
    assert finding.state is CheckState.WARN
    assert finding.advice == "anim weights pull dwpose"


def test_a_cache_that_can_be_written_is_fine(context: Context) -> None:
    assert {finding.state for finding in disk_space(context)} <= {
        CheckState.OK,
        CheckState.WARN,
    }


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="needs a folder nobody can fill"
)
def test_a_cache_that_cannot_be_written_is_bad_and_ends_with_6(context: Context) -> None:
    context = replace(context, project=Project(Path("/proc"), Path("/proc/anim")))
    cache = next(finding for finding in disk_space(context) if finding.name == "cache")
    assert cache.state is CheckState.BAD
    assert cache.fact.startswith("/proc/anim can't be written: ")
    assert cache.advice == "choose another place with --cache-dir"
    assert examine(context).exit_code == 6
