#!/bin/sh
# Rewrite requirements-lock.txt: for each supported Python, on every system, the newest versions that satisfy
# requirements.txt, with the hashes of their files. Needs uv. test_requirements.sh tests the result.
#
#     sh scripts/lock.sh
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/environment.sh"
command -v uv >/dev/null 2>&1 || complain "uv is not installed; run: pip install uv"
cd "$ROOT"
{
    echo "# Written by scripts/lock.sh from requirements.txt, for Python $OLDEST to $NEWEST:"
    echo "# pip install --require-hashes -r $LOCK"
    uv pip compile --quiet --universal --python-version "$OLDEST" --generate-hashes --no-header --no-annotate requirements.txt
} >"$LOCK.new"
mv "$LOCK.new" "$LOCK"
