"""The command `batch`, as words."""

from typing import Annotated, Literal

import typer

from animcli.cli.options import read_count
from animcli.cli.plan import Command, Session


def batch(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="Jobs: .toml, .csv, .tsv, .jsonl, or - for JSON lines."
        ),
    ],
    engine: Annotated[
        Literal["here", "ray", "slurm"],
        typer.Option(help="Where slots come from; slurm writes a script for sbatch."),
    ] = "here",
    slots: Annotated[
        int | None,
        typer.Option(metavar="N", help="Jobs at a time; otherwise one for each GPU."),
    ] = None,
    gpus_per_job: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Less than 1 lets jobs share a GPU; 0 uses none."
        ),
    ] = 1.0,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Of a Ray cluster that runs; or auto."),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Join a Ray cluster that asks for no token."),
    ] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="These jobs, with commas; or failed."),
    ] = None,
    retries: Annotated[
        int, typer.Option(metavar="N", help="More attempts for a job that was lost.")
    ] = 3,
    max_failures: Annotated[
        int | None, typer.Option(metavar="N", help="Begin no more jobs after so many.")
    ] = None,
    lower_memory: Annotated[
        bool,
        typer.Option(
            "--lower-memory", help="Out of memory: again with --cfg-batch off --offload."
        ),
    ] = False,
    grace: Annotated[
        int,
        typer.Option(metavar="SECONDS", help="For jobs to stop in, after Ctrl-C."),
    ] = 120,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the journal; otherwise FILE's.")
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="How far it is; runs nothing.")
    ] = False,
    slice: Annotated[
        str | None, typer.Option(metavar="I/N", help="Part I, from 0, of N equal parts.")
    ] = None,
    slurm: Annotated[
        str,
        typer.Option(metavar="OPTIONS", help="For sbatch: partition=gpu,time=04:00:00"),
    ] = "",
    submit: Annotated[
        bool, typer.Option("--submit", help="Give the script to sbatch.")
    ] = False,
) -> Command:
    """Do many jobs: on the GPUs of this machine, a Ray cluster, or Slurm.

    anim batch jobs.toml; anim batch -- render {reference} --motion {motion} ::: reference
    cast/*.png ::: motion dances/*

    The same command goes on from wherever the last one ended. With --dry-run: what is done,
    would go on, would run, lacks weights. Failed jobs don't hold up others; the exit code
    is then 9. docs/guide/many-videos.md has examples.
    """
    from animcli.cli.batch.run import BatchCommand

    return Session(
        BatchCommand(
            words=tuple(words),
            engine=engine,
            slots=read_count("--slots", slots, 10_000),
            gpus_per_job=gpus_per_job,
            address=address,
            insecure=insecure,
            only=only,
            retries=read_count("--retries", retries, 1000, low=0) or 0,
            max_failures=read_count("--max-failures", max_failures, 100_000),
            lower_memory=lower_memory,
            grace=read_count("--grace", grace, 100_000, low=0) or 0,
            name=name,
            status=status,
            slice=slice,
            slurm=slurm,
            submit=submit,
        ).run
    )
