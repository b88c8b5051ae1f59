"""The script for Slurm says what the cluster has to know, and nothing that isn't safe."""

import subprocess
from pathlib import Path

import pytest

from animcli.batch.slurm import read_options, script
from animcli.errors import UsageError


def test_the_script_is_an_array_of_slices_that_stop_and_go_on() -> None:
    text = script(
        "jobs", Path("/home/a b/jobs.toml"), Path("/logs"), ["--retries", "3"],
        "partition=gpu,time=04:00:00,gpus=1,exclusive", 8, 100,
    )  # fmt: skip
    for line in (
        "#SBATCH --array=0-7",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:TERM@120",
        "#SBATCH --partition=gpu",
        "#SBATCH --time=04:00:00",
        "#SBATCH --exclusive",
        "cd '/home/a b'",
    ):
        assert line in text.splitlines(), line
    assert '--retries 3 --slice "$SLURM_ARRAY_TASK_ID/8" &\n' in text
    assert (
        subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    )


@pytest.mark.parametrize("said", ["partition=a b", "Time=1", "array=0-9", "x;y=1"])
def test_options_that_can_t_be_are_refused(said: str) -> None:
    with pytest.raises(UsageError, match="--slurm"):
        read_options(said)
