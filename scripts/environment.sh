# Sourced by the other scripts: makes the project's virtual environment and installs requirements into it.
# After `ensure_environment requirements.txt`, $PYTHON is the environment's interpreter.
# PYTHON names the interpreter to make it with, QUANTILIZERS_VENV its folder (.venv). Without PYTHON, uv makes it and
# installs where uv is installed; otherwise the newest supported Python of the machine and its pip do.

ROOT=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd) || exit 2
# The Pythons that TensorFlow has releases for, newest first.
SUPPORTED='3.13 3.12 3.11'
OLDEST=${SUPPORTED##* }
NEWEST=${SUPPORTED%% *}
# requirements.txt is installed in exactly the tested versions, those of requirements-lock.txt.
LOCK=requirements-lock.txt

complain() {
    printf '%s: %s\n' "$(basename -- "$0")" "$1" >&2
    exit 2
}

# version_of PYTHON: print its version, such as 3.13, or nothing.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :
}

# supported VERSION
supported() {
    case " $SUPPORTED " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

has_venv() {
    "$1" -I -c 'import venv, ensurepip' >/dev/null 2>&1
}

# without_venv VERSION
without_venv() {
    complain "Python $1 has no venv module; install it (Debian and Ubuntu: apt install python$1-venv)"
}

# find_python: set $base to a supported Python of the machine, or say what to install; nothing is downloaded before.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 ||
            complain "$PYTHON is not installed; install Python $OLDEST to $NEWEST, or set PYTHON to its path"
        supported "$(version_of "$PYTHON")" ||
            complain "$PYTHON is Python $(version_of "$PYTHON"), for which TensorFlow has no release; set PYTHON to a Python from $OLDEST to $NEWEST"
        base=$PYTHON
        return
    fi
    incomplete=
    for name in $(for version in $SUPPORTED; do echo "python$version"; done) python3 python; do
        version=$(version_of "$name")
        if supported "$version"; then
            base=$name
            has_venv "$base" && return
            incomplete=${incomplete:-$version}
        fi
    done
    [ -z "$incomplete" ] || without_venv "$incomplete"
    found=$(version_of python3)
    complain "${found:+Python $found is here, for which TensorFlow has no release; }install Python $NEWEST (Debian and Ubuntu: apt install python$NEWEST-venv; or install uv, which brings its own), or set PYTHON to the path of a Python from $OLDEST to $NEWEST"
}

make_environment() {
    if [ -z "${PYTHON:-}" ] && command -v uv >/dev/null 2>&1; then
        echo "making $venv with uv" >&2
        rm -rf -- "$venv"
        # With --seed it also has pip, for users who want to add packages.
        uv venv --quiet --seed --python ">=$OLDEST,<3.$((${NEWEST#3.} + 1))" "$venv" >&2 ||
            complain "uv could not make $venv; what it said stands above"
        return
    fi
    find_python
    has_venv "$base" || without_venv "$(version_of "$base")"
    rm -rf -- "$venv"
    echo "making $venv with $("$base" --version 2>&1)" >&2
    PYTHONSAFEPATH=1 "$base" -m venv "$venv" || complain "could not make $venv; check that its folder can be written"
}

# show_progress LOG: keep all lines of an installation, and show those that tell how far it is.
show_progress() {
    count=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$1"
        case $line in
            *ownloading*.metadata*) ;;
            *[Dd]"ownloading "*MB* | *[Dd]"ownloading "*MiB* | *[Dd]"ownloading "*GB* | *[Dd]"ownloading "*GiB* | "Installing collected"*)
                printf '  %s\n' "$(printf '%s' "$line" | sed 's/^ *//; s/\(collected packages\):.*/\1/; s/^\(Downloading [^ -]*-[^ -]*\)-[^ ]*/\1/')" >&2
                ;;
        esac
    done
}

# install_failure LOG REQUIREMENTS: say in one line why the installation failed.
install_failure() {
    if grep -qiE 'connection|name resolution|dns error|timed out|network is unreachable|proxy|failed to fetch|error sending request' "$1"; then
        complain "cannot reach the package index; check the network or set PIP_INDEX_URL (uv: UV_INDEX_URL), then run this again (log: $1)"
    fi
    complain "could not install $2: $(grep -iE '^ *(ERROR|×|error)' "$1" | tail -n 1); the whole log is $1"
}

# install REQUIREMENTS FILE…: into the environment, from the given files.
install() {
    log=$venv/install.log
    : >"$log"
    if [ -z "${with_pip:-}" ] && command -v uv >/dev/null 2>&1; then
        { uv pip install --python "$PYTHON" "$@" 2>&1 && echo installed; } | show_progress "$log"
    else
        { PYTHONSAFEPATH=1 "$PYTHON" -m pip install --disable-pip-version-check --progress-bar off "$@" 2>&1 && echo installed; } |
            show_progress "$log"
    fi
    # The last line has the status, because a pipe's exit code is that of its last command.
    [ "$(tail -n 1 "$log")" = installed ] || install_failure "$log" "$requirements"
}

# ensure_environment FILE: make the environment and install a file of requirements, unless that was done before.
ensure_environment() {
    requirements=$1
    venv=${QUANTILIZERS_VENV:-$ROOT/.venv}
    with_pip=${PYTHON:-}
    version=$(version_of "$venv/bin/python")
    if [ -z "$version" ]; then
        make_environment
    elif ! supported "$version"; then
        complain "$venv is Python $version, for which TensorFlow has no release; remove it, and run this again"
    fi
    PYTHON=$venv/bin/python
    # The stamp holds every file that the installation depended on, and is written only once it has succeeded.
    stamp=$venv/installed-$requirements
    wanted=$(cat "$ROOT"/requirements*.txt) || complain "no requirements in $ROOT"
    if [ ! -f "$stamp" ] || [ "$wanted" != "$(cat "$stamp")" ]; then
        if [ "$requirements" = requirements.txt ] && [ -f "$ROOT/$LOCK" ]; then
            echo "installing $LOCK: 580 MB to download, 2.3 GB on disk; minutes" >&2
            install --require-hashes -r "$ROOT/$LOCK"
        else
            echo "installing $requirements; this takes minutes the first time" >&2
            install --upgrade -r "$ROOT/$requirements"
        fi
        # Scripts anywhere, notebooks and editors then import the project from this checkout.
        [ ! -f "$ROOT/pyproject.toml" ] || install --no-deps --editable "$ROOT"
        printf '%s\n' "$wanted" >"$stamp"
    fi
}
