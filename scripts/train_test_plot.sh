#!/bin/sh
# Train, test and plot, from nothing but Python: makes .venv, installs the requirements, runs quantilizer.py with
# the arguments given here. Without any it is Mountain Car, and measures optimisers, too, which takes seconds there.
#
#     sh scripts/train_test_plot.sh [--env_name … --dataset_name … --quantiles …]
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/environment.sh"
ensure_environment requirements.txt
if [ $# -eq 0 ]; then
    set -- --do train test optimize plot --env_name MountainCar-v0 --optimisers random planner
else
    set -- --do train test plot "$@"
fi
exec "$PYTHON" "$ROOT/quantilizer.py" "$@"
