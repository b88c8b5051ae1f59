#!/bin/bash
# Eight tasks, a GPU each, on the partition `gpu`; prints the script and submits it.
anim batch jobs.toml --engine slurm --slots 8 \
    --slurm "partition=gpu,time=04:00:00,gres=gpu:1,cpus-per-task=8,mem=48G" --submit
