#!/bin/sh
# Check the project: makes .venv, installs the requirements for development, runs the linters, looks for unsafe code,
# undeclared dependencies and known vulnerabilities (the last only with a network), builds the documentation's site in
# docs/_build and runs every test, the files of tests in two processes side by side. Checks that take longer than a
# second run beside the tests, and their output follows. Arguments go on to pytest, which then works in one process:
#
#     sh scripts/test.sh [-k demonstrations] [-m slow]
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/environment.sh"
ensure_environment requirements-dev.txt
cd "$ROOT"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .

checks() {
    "$PYTHON" -m mypy &&
        "$PYTHON" -m bandit -q -c pyproject.toml -r quantilizer.py quantilizers scripts play &&
        "$PYTHON" -m deptry . &&
        "$PYTHON" scripts/audit.py &&
        "$PYTHON" -m sphinx -q -W --keep-going docs docs/_build
}
output=$(mktemp)
checks >"$output" 2>&1 &
checking=$!
trap 'kill "$checking" 2>/dev/null || true; rm -f "$output"' EXIT
trap 'exit 130' INT TERM

# Files are in the order of their names: those of a folder follow each other, and slow ones do not come last.
[ $# -gt 0 ] || set -- --numprocesses 2 --dist loadfile --no-loadscope-reorder
tests=0
"$PYTHON" -m pytest "$@" || tests=$?
checked=0
wait "$checking" || checked=$?
cat "$output"
[ "$checked" -eq 0 ] || echo "test.sh: a check beside the tests failed; its output is above" >&2
[ "$tests" -eq 0 ] || exit "$tests"
exit "$checked"
