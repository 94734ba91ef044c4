#!/usr/bin/env bash
# Fill a folder with the wheels that `make demo` and `make build-models` install, and the embedded default's:
# `wheels.sh FOLDER`, for `make demo WHEELS=FOLDER` on a machine without a package index, of the same system and Python.
# What is there already is kept; an interrupted run is continued by the next. PYTHON, TORCH_INDEX, TORCH_HASHES: Makefile.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
# The pins without hashes: torch's own dependencies come in the versions that the build installs, from any index.
sed -n 's/^\([A-Za-z0-9][^ ;]*==[^ ;]*\).*/\1/p' runtime.txt build.txt test.txt | sort -u > "$scratch/pins.txt"
download() {
  echo "wheels: $*"
  "$scratch/venv/bin/python" -m pip --disable-pip-version-check download --quiet --only-binary=:all: \
    --dest "$folder" --find-links "$folder" "$@"
}
for pinned in runtime.txt build.txt build-onnx.txt test.txt; do
  download --no-deps --require-hashes -r "$pinned"
done
if [ -n "${TORCH_HASHES:-}" ]; then
  download --no-deps --require-hashes -r torch-hashed.txt
else
  download ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --constraint "$scratch/pins.txt" -r torch.txt
fi
download --no-deps "$(sed -n 's/^    Wheel("\([^"]*\)".*/\1/p' ../build/sources/package.py | head -n 1)"
echo "$(find "$folder" -maxdepth 1 -name '*.whl' | wc -l) wheels, $(du -sm "$folder" | cut -f 1) MB in $folder"
