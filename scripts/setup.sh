# Sourced by the other scripts: goes to the repository's root and makes .venv from the hash-locked requirements, unless
# it is up to date.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

make_venv() {
    rm -rf .venv
    if ! "$1" -m venv .venv >/dev/null 2>&1; then
        # Debian and Ubuntu keep venv in a package of its own.
        rm -rf .venv
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && apt-get install -qq -y "$1-venv" >/dev/null
        fi
        "$1" -m venv .venv || {
            echo "Python's venv module is missing: install the package $1-venv." >&2
            return 1
        }
    fi
}

setup() {
    local python='' candidate stamp
    # 3.11 first: functions run on it, and scripts/build compiles for it.
    for candidate in python3.11 python3 python3.14 python3.13 python3.12; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "Python 3.11 or newer is needed: install python3." >&2
        return 1
    fi
    stamp=$(cat requirements-uv.txt requirements-dev.txt <("$python" -VV) <(pwd) | sha256sum | cut -d' ' -f1)
    if [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    echo "setting up .venv (half a minute)" >&2
    # Without its stamp it was never finished: what a kill left half installed would be taken for whole.
    if [ ! -e .venv/stamp ] || [ "$(.venv/bin/python -VV 2>/dev/null)" != "$("$python" -VV)" ]; then
        make_venv "$python"
    fi
    rm -f .venv/stamp
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
    .venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode --python .venv/bin/python requirements-dev.txt
    # What runs from the checkout is found without installing it.
    .venv/bin/python - <<'PYTHON'
import pathlib, sysconfig
root = pathlib.Path.cwd()
paths = [root, root / "shared", root / "functions"]
pathlib.Path(sysconfig.get_path("purelib"), "checkout.pth").write_text("".join(f"{path}\n" for path in paths))
PYTHON
    echo "$stamp" >.venv/stamp
}

# Two scripts started at once take turns.
exec 9>".venv.lock"
flock 9
setup
exec 9>&-
