#!/usr/bin/env bash
# Trains a recipe on several machines by SLURM:
#     sbatch --nodes 4 recipes/cluster/slurm.sh RECIPE OUTPUT [options of incoder train]
# OUTPUT must be on a file system that all machines share. SLURM starts one launcher on each machine, and the launcher
# one process for each GPU. The run goes on from its newest checkpoint when it is submitted again, is requeued, or has
# lost a process.
#SBATCH --job-name=incoder
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@600
#SBATCH --output=incoder-%j.log
set -euo pipefail

if (($# < 2)); then
  echo "usage: sbatch --nodes N slurm.sh RECIPE OUTPUT [options of incoder train]" >&2
  exit 2
fi
recipe=$1 output=$2
shift 2

# The first machine of the job is where the launchers meet.
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
host=${hosts%%$'\n'*}
port=$((29400 + SLURM_JOB_ID % 1000))

# Checkpoints of a large model take a while: launchers wait ten minutes after a signal before they kill.
launcher=(
  torchrun
  --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node "${GPUS_PER_MACHINE:-8}"
  --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$host:$port"
  --max-restarts 5 --shutdown-timeout 600
)

export LOGLEVEL=ERROR TORCH_CPP_LOG_LEVEL=ERROR
# B:TERM reaches this shell alone, 600 s before the time is up; srun passes it on, and every rank saves and stops.
srun --kill-on-bad-exit=1 "${launcher[@]}" -m incoder train "$recipe" --output "$output" --resume "$@" &
steps=$!
trap 'kill -TERM "$steps"' TERM
status=0
wait "$steps" || status=$?
if ((status > 128)) && kill -0 "$steps" 2>/dev/null; then # the trap has interrupted the first wait
  status=0
  wait "$steps" || status=$?
fi
exit "$status"
