#!/usr/bin/env bash
# Evaluates a data set as a Slurm job array, one shard a task:
#
#   sbatch --array=0-7 deploy/slurm.sh 8 results images/ \
#     --model resnet50 --weights resnet50-11ad3fa6.pth --protocol described
#
# The first argument is the number of shards; count the array from 0. A task that was killed goes on where it stopped:
# submit it again (--array=3), or let Slurm requeue it. When all are done:
#
#   fmgcam merge results/shard-*.jsonl --out results.jsonl
#
#SBATCH --job-name=fmgcam
#SBATCH --cpus-per-task=2
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [ $# -lt 3 ]; then
  echo 'usage: sbatch --array=0-<n-1> slurm.sh <n> <results folder> <images> [options of fmgcam evaluate]' >&2
  exit 2
fi
shards=$1
results=$2
shift 2

mkdir -p "$results"
# FMGCAM may name the command, where it is not on the path. The shard's number comes from SLURM_ARRAY_TASK_ID.
exec ${FMGCAM:-fmgcam} evaluate "$@" --shards "$shards" --out "$results/shard-$SLURM_ARRAY_TASK_ID.jsonl"
