#!/bin/sh
# Train, test and plot, from nothing but Python: makes .venv, installs the requirements, runs quantilizer.py with
# the arguments given here, or with the README's example.
#
#     sh scripts/train_test_plot.sh [--env_name … --dataset_name … --quantiles …]
set -eu
. "$(dirname -- "$0")/environment.sh"
ensure_environment requirements.txt
if [ $# -eq 0 ]; then
    set -- --env_name MountainCar-v0 --quantiles 1.0 0.5 0.25 0.1 0.01 --plotstyle mean_seeds
fi
exec "$PYTHON" "$ROOT/quantilizer.py" --do train test plot "$@"
