#!/bin/sh
# Bring people's data into log/<ENV>/<DATASET>.npz. Run it from any folder:
#
#     sh scripts/load_data.sh                         the paper's human data
#     sh scripts/load_data.sh --source lets-do-irl    20 episodes of Mountain Car played by a person
#     sh scripts/load_data.sh --from FILE.zip         an archive already at hand
#     sh scripts/load_data.sh --help                  the rest, and the exit codes
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/environment.sh"
ensure_environment requirements.txt
# Not `cd`: --from FILE.zip is relative to the folder that the user is in.
PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
# -P: no file of that folder is imported.
exec "$PYTHON" -P -m quantilizers.commands.load_data "$@"
