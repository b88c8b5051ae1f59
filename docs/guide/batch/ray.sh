#!/bin/bash
# On the head: a cluster that asks for a token. Ports of Ray run the code of whoever reaches
# them, and tokens travel in the clear: only in a network whose users you trust.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
ray get-auth-token --generate
ray start --head --port=6379 --include-dashboard=false
# On each other machine, with the same token, Python, Ray and animcli:
#     ray start --address=HEAD:6379
# The project lies on a file system that all of them share.
anim batch jobs.toml --engine ray --address auto
