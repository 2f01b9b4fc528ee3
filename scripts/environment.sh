# Sourced by the other scripts: makes the project's virtual environment and installs requirements into it.
# After `ensure_environment requirements.txt`, $PYTHON is the environment's interpreter.
# PYTHON names the interpreter to make it with (python3), QUANTILIZERS_VENV its folder (.venv).

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 2

complain() {
    printf '%s: %s\n' "$(basename -- "$0")" "$1" >&2
    exit 2
}

# install_failure LOG: say in one line why pip failed.
install_failure() {
    if grep -qiE 'connection|name resolution|timed out|network is unreachable|proxy' "$1"; then
        complain "cannot reach the package index; check the network or set PIP_INDEX_URL, then run this again (log: $1)"
    fi
    complain "pip could not install $2: $(grep -i '^ERROR' "$1" | tail -n 1); the whole log is $1"
}

ensure_environment() {
    requirements=$1
    base=${PYTHON:-python3}
    venv=${QUANTILIZERS_VENV:-$ROOT/.venv}
    command -v "$base" >/dev/null 2>&1 ||
        complain "$base is not installed; install Python 3.11 or later, or set PYTHON to its path"
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        complain "$("$base" --version 2>&1) is too old; install Python 3.11 or later, or set PYTHON to its path"
    if ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
        "$base" -c 'import venv, ensurepip' 2>/dev/null ||
            complain "Python has no venv module; install it (Debian and Ubuntu: apt install python3-venv)"
        rm -rf -- "$venv"
        echo "making $venv" >&2
        "$base" -m venv "$venv" || complain "could not make $venv; check that its folder can be written"
    fi
    PYTHON=$venv/bin/python
    # The stamp holds every file that the installation depended on, and is written only once it has succeeded.
    stamp=$venv/installed-$(basename -- "$requirements")
    wanted=$(cat "$ROOT"/requirements*.txt) || complain "no requirements in $ROOT"
    if [ ! -f "$stamp" ] || [ "$wanted" != "$(cat "$stamp")" ]; then
        echo "installing $requirements (a few minutes the first time)" >&2
        log=$venv/pip.log
        "$PYTHON" -m pip install --disable-pip-version-check --quiet --upgrade -r "$ROOT/$requirements" >"$log" 2>&1 ||
            install_failure "$log" "$requirements"
        printf '%s\n' "$wanted" >"$stamp"
    fi
}
