#!/bin/sh
# Test what the requirements allow, in a fresh environment: the lowest versions that requirements.txt and the optional
# ones name, except torch's, or requirements.txt in the versions of the lock.
# Needs uv. Arguments go on to pytest.
#
#     sh scripts/test_requirements.sh lowest|locked [PYTHON VERSION] [pytest's arguments]
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/environment.sh"
command -v uv >/dev/null 2>&1 || complain "uv is not installed; run: pip install uv"
kind=${1:-}
version=${2:-$OLDEST}
supported "$version" || complain "Python $version is not among those that are supported: $SUPPORTED"
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 130' INT TERM
cd "$ROOT"
uv venv --quiet --python "$version" "$folder/venv"
PYTHON=$folder/venv/bin/python
case $kind in
    lowest)
        # Nothing is built from source: the lowest version that this Python has a wheel of.
        uv pip compile --quiet --resolution lowest-direct --only-binary :all: --python "$PYTHON" requirements.txt \
            requirements-cluster.txt requirements-minari.txt requirements-recordings.txt requirements-scores.txt \
            >"$folder/lowest.txt"
        uv pip install --quiet --python "$PYTHON" -r "$folder/lowest.txt"
        optional='tests/datasets tests/scores'
        ;;
    locked)
        optional=
        uv pip install --quiet --python "$PYTHON" --require-hashes -r "$LOCK"
        ;;
    *) complain "say what to test: lowest or locked" ;;
esac
uv pip install --quiet --python "$PYTHON" pytest pytest-timeout hypothesis
"$PYTHON" --version
uv pip freeze --python "$PYTHON"
shift "$(($# < 2 ? $# : 2))"
# Tests that use every library: the environments, the files, training, testing, figures and the optional readers.
# shellcheck disable=SC2086 # folders without spaces
"$PYTHON" -m pytest -q tests/envs tests/demonstrations tests/gates tests/policies tests/test_quantilizer.py $optional "$@"
