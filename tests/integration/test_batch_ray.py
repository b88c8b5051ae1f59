"""Batches on real Ray: one machine, and three nodes of which one goes away."""

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from batch_stand_ins import digests, environment, listening, prepare

from animcli.batch.journal import read_journal
from animcli.batch.ray_engine import VARIABLES, is_own_address

pytestmark = [
    pytest.mark.skipif(
        find_spec("ray") is None,  # not imported yet, since it reads its variables then
        reason="Ray isn't here: pip install 'animcli[ray]'",
    ),
    pytest.mark.slow,  # Ray takes ten seconds and nine processes to start
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning"),
]
TESTS = Path(__file__).resolve().parents[1]
PROGRAM = [sys.executable, str(TESTS / "batch_stand_ins.py")]
LIMIT_S = 600
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}


def start(folder: Path, *words: str, **variables: str) -> "subprocess.Popen[str]":
    own = {name: x for name, x in environment().items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [*PROGRAM, *words], cwd=folder, env={**own, **variables}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the engine `here` makes of the jobs."""
    folder = tmp_path_factory.mktemp("here")
    prepare(folder)
    process = start(folder, "batch", "jobs.toml")
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, said
    return digests(folder)


def test_a_cluster_of_one_machine_listens_on_the_loopback_only(
    tmp_path: Path, expected: dict[str, str]
) -> None:
    prepare(tmp_path)
    words = ("batch", "jobs.toml", "--engine", "ray", "--slots", "2")
    process = start(tmp_path, *words, HOME=str(tmp_path / "home"))
    seen: set[str] = set()
    until = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < until:
        seen |= listening(process.pid)
        time.sleep(0.5)
    out, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, said
    assert len(out.splitlines()) == len(expected)
    assert digests(tmp_path) == expected
    assert "127.0.0.1" in seen
    assert seen <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A head without slots, and two nodes with two logical GPUs each."""
    variables = {**VARIABLES, **TOKEN}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        made = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False},
        )
        made.nodes = [
            made.add_node(num_cpus=2, num_gpus=2, object_store_memory=150 << 20)
            for _ in range(2)
        ]
        yield made
        made.shutdown()


def test_jobs_of_a_node_that_goes_away_end_on_the_other(
    cluster: object, tmp_path: Path, expected: dict[str, str]
) -> None:
    prepare(tmp_path)
    address = cluster.address  # type: ignore[attr-defined]
    words = ("batch", "jobs.toml", "--engine", "ray", "--address", address)
    if not is_own_address(address):
        refused = start(tmp_path, *words)
        assert "asks for no token" in refused.communicate(timeout=LIMIT_S)[1]
    process = start(tmp_path, *words, **VARIABLES, **TOKEN)
    journal = tmp_path / ".anim" / "batch" / "jobs.jsonl"
    until = time.monotonic() + LIMIT_S
    while not any(event["event"] == "start" for event in read_journal(journal)):
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    node = cluster.nodes[0]  # type: ignore[attr-defined]
    cluster.remove_node(node, allow_graceful=False)  # type: ignore[attr-defined]
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, said
    assert digests(tmp_path) == expected
    events = list(read_journal(journal))
    ends = [x["job"] for x in events if x["event"] == "end" and x["exit_code"] == 0]
    assert sorted(ends) == sorted(expected)
    assert any(x["event"] == "slot" for x in events)  # those of the node that went away
    devices = {x["device"] for x in events if x["event"] == "start"}
    assert devices <= {"0", "1"}
    assert devices
