#!/usr/bin/env bash
# Makes .venv: finds Python 3.10, installs requirements.lock, checks that it loads.
#
# `make` runs this before every target that needs .venv. When .venv already holds what
# the lock asks for, it returns at once. Exit code 2: the machine lacks something that
# the one line on standard error names.
#
#   PYTHON=/path/to/python3.10   uses this interpreter and looks for no other
#   GPU=1                        TensorFlow with CUDA (requirements-gpu.txt), from then on;
#   GPU=0                        back to the one without
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

venv=.venv
venv_python=$venv/bin/python
lock=requirements.lock
stamp=$venv/installed    # holds the digest of what is installed, once it all is
gpu_mark=$venv/gpu       # there where TensorFlow has CUDA
gpu_list=requirements-gpu.txt
unfinished=$venv/unfinished  # there while an install runs, and after one was cut short
libpython=libpython3.10.so.1.0

say() { printf 'bootstrap: %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}
have() { command -v "$1" >/dev/null 2>&1; }

# Prints what an interpreter is, as "STATE DETAIL":
#   ok PATH           3.10, and it has loaded the shared libpython itself
#   preload PATH LIB  3.10, linked without it, but LIB is there to be loaded (a tab between)
#   static PATH       3.10 without a shared libpython
#   version X.Y       another version
# Nothing when it does not run: pyenv's shims fail where another version is selected.
probe() {
  "$1" - "$libpython" 2>/dev/null <<'PYTHON' || true
import sys
if sys.version_info[:2] != (3, 10):
    print("version %d.%d" % sys.version_info[:2])
    sys.exit()
import ctypes, os, sysconfig
name = sys.argv[1]
path = sys.executable
if sys.prefix != sys.base_prefix:  # of a virtual environment, which may go away
    path = os.path.realpath(path)

def loaded():
    with open("/proc/self/maps") as maps:
        lines = [line.rstrip("\n") for line in maps if line.rstrip().endswith("/" + name)]
    return lines[0][lines[0].index("/"):] if lines else ""

if loaded():
    print("ok " + path)
    sys.exit()
# That ctypes finds it by name does not say that Launchpad's modules would: each module
# brings a search path of its own. Loaded by its full name first, it serves them all.
for folder in (sysconfig.get_config_var("LIBDIR"), sys.base_prefix + "/lib", ""):
    try:
        ctypes.CDLL(os.path.join(folder or "", name))
    except OSError:
        continue
    print("preload %s\t%s" % (path, loaded()))
    sys.exit()
print("static " + path)
PYTHON
}

# Prints every interpreter worth probing, one a line, the likeliest first.
candidates() {
  local name folder
  for name in python3.10 python3 python; do
    type -ap "$name" || true
  done
  folder=${PYENV_ROOT:-${HOME:-}/.pyenv}/versions
  if [[ -d $folder ]]; then
    find "$folder" -path '*/3.10*/bin/python3.10' | sort -rV
  fi
  if have uv; then
    UV_PYTHON_PREFERENCE=only-managed uv python find 3.10 2>/dev/null || true
  fi
}

apt_install() {
  have apt-get && [[ $(id -u) == 0 ]] || return 1
  say "apt-get install $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -qq --no-install-recommends "$@" >/dev/null 2>&1 </dev/null ||
    { apt-get update -qq && apt-get install -qq --no-install-recommends "$@"; } \
      >/dev/null 2>&1 </dev/null
}

# Sets `base` to an interpreter and `preload` to the library that it has to load first.
find_python() {
  local candidate found static=""
  base="" preload=""
  if [[ -n ${PYTHON:-} ]]; then
    have "$PYTHON" || fail "PYTHON=$PYTHON is no command; name a Python 3.10"
    found=$(probe "$PYTHON")
    case $found in
      "") fail "PYTHON=$PYTHON does not run; name a Python 3.10" ;;
      version*) fail "PYTHON=$PYTHON is Python ${found#* }; name a Python 3.10" ;;
    esac
    consider "$found"
  else
    while read -r candidate; do
      consider "$(probe "$candidate")"
      [[ -z $base ]] || break
    done < <(candidates)
  fi
  # A Python of the distribution's: its shared library is a package of its own.
  if [[ -z $base && $static == /usr/bin/* ]] && apt_install libpython3.10; then
    consider "$(probe "$static")"
  fi
  [[ -n $base ]] && return
  [[ -z $static ]] || fail "$static has no shared $libpython, which Launchpad loads:" \
    "install libpython3.10 (Debian, Ubuntu), or another Python 3.10 by" \
    "\`uv python install 3.10\` or" \
    "\`PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.10\`"
  fail "Python 3.10 not found on PATH, in pyenv or in uv: install it, for example by" \
    "\`uv python install 3.10\` or" \
    "\`PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.10\`," \
    "or name one: \`make PYTHON=/path/to/python3.10\`"
}

# Takes one line of `probe` into find_python's variables.
consider() {
  case $1 in
    ok\ *) base=${1#ok } ;;
    preload\ *)
      base=${1#preload }
      preload=${base#*$'\t'}
      base=${base%%$'\t'*}
      ;;
    static\ *) static=${static:-${1#static }} ;;
  esac
}

make_venv() {
  if have uv; then
    uv venv --quiet --clear --python "$base" "$venv"
    return
  fi
  if ! "$base" -c "import ensurepip, venv" 2>/dev/null; then
    # Debian and Ubuntu keep both in a package of their own.
    { [[ $base == /usr/bin/* ]] && apt_install python3.10-venv; } ||
      fail "$base has no venv module: install python3.10-venv (Debian, Ubuntu) or uv"
  fi
  "$base" -m venv --clear "$venv"
}

# Installs packages of the lock: all are named there, so nothing is left to resolve.
install() {
  local quiet=()
  [[ -t 1 ]] || quiet=(--quiet)
  if have uv; then
    # As pip does: without the byte code, every import of TensorFlow takes 15 s longer
    # where PYTHONDONTWRITEBYTECODE is set.
    uv pip install "${quiet[@]}" --python "$venv_python" --no-deps \
      --no-build-isolation --compile-bytecode "$@"
    return
  fi
  # Out of uv's hands, a .venv that uv made has no pip yet.
  "$venv_python" -m pip --version >/dev/null 2>&1 || "$venv_python" -m ensurepip
  "$venv_python" -m pip install "${quiet[@]}" --disable-pip-version-check \
    --no-input --no-deps --no-build-isolation "$@"
}

install_lock() {
  local builders
  # What builds the few source distributions comes first, at the lock's version too.
  mapfile -t builders < <(grep -E '^(pip|setuptools|wheel)==' "$lock")
  install "${builders[@]}"
  install -r "$lock"
}

# TensorFlow with CUDA has the same files as the one without: one of them is installed.
install_gpu() {
  if have uv; then
    uv pip uninstall --quiet --python "$venv_python" tensorflow-cpu
  else
    "$venv_python" -m pip uninstall --quiet --yes tensorflow-cpu
  fi
  install -r "$gpu_list"
  touch "$gpu_mark"
}

# The stack's compiled parts load each other: better to see a gap here than in a run.
check_imports() {
  local output
  output=$("$venv_python" -c "import reverb, launchpad, mujoco" 2>&1) ||
    fail "the installed packages do not load: ${output##*$'\n'}"
}

check_gl() {
  "$venv_python" scripts/check_gl.py >/dev/null && return
  if apt_install libegl1 libgl1 && "$venv_python" scripts/check_gl.py >/dev/null; then
    return
  fi
  say "no OpenGL: no videos, pictures or vision; all work on state goes on." \
    "For rendering install libegl1 and libgl1, or libosmesa6 (Debian, Ubuntu)."
}

[[ -n ${GPU:-} ]] || GPU=$([[ -e $gpu_mark ]] && echo 1 || echo 0)
[[ $GPU == [01] ]] || fail "GPU=$GPU; valid: 0, 1"
lists=("$lock")
[[ $GPU == 0 ]] || lists+=("$gpu_list")
digest=$(cat "${lists[@]}" scripts/bootstrap.sh | sha256sum)
is_ready() { [[ -x $venv_python && -f $stamp && $(<"$stamp") == "$digest" ]]; }

is_ready && exit 0
[[ $(uname -sm) == "Linux x86_64" ]] ||
  fail "$(uname -sm) is not supported: Reverb and Launchpad exist for Linux x86_64 only"

# Two `make` at a time: the second waits, then finds the work done.
if have flock; then
  exec 9<scripts/bootstrap.sh
  flock -n 9 || { say "waiting for another make in this clone" && flock 9; }
  is_ready && exit 0
fi

SECONDS=0
reusable=no
if [[ -d $venv && ! -e $unfinished && $(probe "$venv_python") == ok\ * ]]; then
  reusable=yes
fi
[[ $GPU == 1 || ! -e $gpu_mark ]] || reusable=no
if [[ $reusable == no ]]; then
  find_python
  say "making $venv with $base"
  make_venv
fi
touch "$unfinished"
rm -f "$stamp"
if [[ $reusable == no && -n $preload ]]; then
  # Loaded at start-up, it is there for every process of .venv, without LD_LIBRARY_PATH.
  printf 'import ctypes; ctypes.CDLL("%s")\n' "$preload" \
    >"$venv/lib/python3.10/site-packages/helms_libpython.pth"
fi
say "installing $(grep -c '^[a-z]' "$lock") packages (2 GB on disk, a few minutes)"
install_lock
[[ $GPU == 0 ]] || install_gpu
check_imports
check_gl
printf '%s\n' "$digest" >"$stamp"
rm -f "$unfinished"
say "$venv is ready after $SECONDS s"
