"""A batch on a real Slurm of one machine, with a job that goes before it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_stand_ins import digests, environment, prepare

NEEDED = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "squeue")
LACKING = [name for name in NEEDED if shutil.which(name) is None]

pytestmark = [
    pytest.mark.slow,  # Slurm holds a job back for two minutes after a preemption
    pytest.mark.skipif(
        bool(LACKING),
        reason=f"{', '.join(LACKING)} aren't here: Debian has them in slurmctld, slurmd, "
        "slurm-client and munge",
    ),
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0, reason="slurmd runs as root"
    ),
]
TESTS = Path(__file__).resolve().parents[1]
LIMIT_S = 900

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 \
GraceTime=60
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Slurm:
    """A controller and a node, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().partition(".")[0]
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("state", "spool"):
            (folder / name).mkdir()
        text = CONFIG.format(
            host=self.host, folder=folder, ports=free_ports(2), cpus=os.cpu_count()
        )
        (folder / "slurm.conf").write_text(text)
        self.environment = {**environment(), "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        key = self.folder / "munge.key"
        subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True)
        self._run(
            "munged", "--foreground", "--force", f"--key-file={key}",
            f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid",
            f"--log-file={self.folder}/munged.log",
            f"--seed-file={self.folder}/munged.seed",
        )  # fmt: skip
        self._wait(lambda: (self.folder / "munge.socket").exists())
        self._run("slurmctld", "-D", "-c")
        self._run("slurmd", "-D", "-N", self.host)
        self._wait(lambda: "idle" in self.told("sinfo", "-h", "-o", "%T"))

    def _run(self, *words: str) -> None:
        process = subprocess.Popen(
            words, env=self.environment, stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{words[0]}.err").open("wb"),
        )  # fmt: skip
        self._processes.append(process)

    def _wait(self, there: object) -> None:
        until = time.monotonic() + 120
        while not there():  # type: ignore[operator]
            assert time.monotonic() < until, self.logs()
            time.sleep(0.5)

    def told(self, *words: str) -> str:
        run = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        return run.stdout

    def logs(self) -> str:
        parts = [path.read_text()[-2000:] for path in self.folder.glob("*.log")]
        return "\n".join(parts)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_batch_that_is_preempted_ends_with_the_frames_of_the_engine_here(
    slurm: Slurm, tmp_path: Path
) -> None:
    program = str(TESTS / "batch_stand_ins.py")
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        prepare(folder, frames=30)
    subprocess.run(
        [sys.executable, program, "batch", "jobs.toml", "--quiet"], cwd=here, check=True,
        env=slurm.environment, stdout=subprocess.DEVNULL, timeout=LIMIT_S,
    )  # fmt: skip
    made = subprocess.run(
        [sys.executable, program, "batch", "jobs.toml", "--engine", "slurm", "--slots", "2",
         "--slurm", "partition=low,time=01:00:00"],
        cwd=there, check=True, env=slurm.environment, capture_output=True, text=True,
    )  # fmt: skip
    script = there / made.stdout.strip()
    text = script.read_text().replace("-m animcli", program)  # the program with stand-ins
    script.write_text(text)
    number = slurm.told("sbatch", "--parsable", str(script)).strip()
    assert number, slurm.logs()
    until = time.monotonic() + LIMIT_S
    journals = there / ".anim" / "batch"
    while not any('"start"' in x.read_text() for x in journals.glob("jobs.*of2.jsonl")):
        assert time.monotonic() < until, slurm.logs()
        time.sleep(0.5)
    urgent = slurm.told(
        "sbatch", "--parsable", "--partition=high", "--exclusive", "--output=/dev/null",
        "--wrap=sleep 3",
    ).strip()  # fmt: skip
    assert urgent, slurm.logs()
    while slurm.told("squeue", "-h", "-j", f"{number},{urgent}"):
        assert time.monotonic() < until, slurm.logs()
        time.sleep(2)
    logs = "".join(path.read_text() for path in (journals / "jobs").glob("*_*.log"))
    assert digests(there) == digests(here), logs
    assert "goes on from here" in logs  # at least one task was told to stop
    begun = sum(x.read_text().count('"begin"') for x in journals.glob("jobs.*of2.jsonl"))
    assert begun > 2  # and was begun again by Slurm
