#!/usr/bin/env bash
# Pin the requirements with hashes: `lock.sh [PACKAGE ...]`. What is pinned stays, but for what the .in files no longer
# admit and for the packages named; `lock.sh all` upgrades everything. Needs uv (`pip install uv`); where torch's CPU
# build is not on the package index, UV_FIND_LINKS or --torch-backend cpu tells uv of it.
set -euo pipefail
cd "$(dirname "$0")"
upgrade=()
for name in "$@"; do
  if [ "$name" = all ]; then upgrade+=(--upgrade); continue; fi
  grep -qi "^$name==" -- *.txt || { echo "no file here pins $name" >&2; exit 1; }
  upgrade+=("--upgrade-package=$name")
done
compile() {
  uv pip compile --quiet ${upgrade[@]+"${upgrade[@]}"} --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --python-version 3.11 "$@"
}
compile --no-deps runtime.in -o runtime.txt
compile --no-deps runtime-gpu.in -o runtime-gpu.txt
compile test.in -o test.txt
compile otel.in -o otel.txt
compile clients.in -o clients.txt
compile stores.in -o stores.txt
compile stores-test.in -o stores-test.txt
compile ray.in -o ray.txt
compile --no-deps fuzz.in -o fuzz.txt
compile bench.in -o bench.txt --no-emit-package torch --constraint torch.txt
compile build.in -o build.txt --no-emit-package torch --constraint torch.txt
compile build-onnx.in -o build-onnx.txt
UV_FIND_LINKS="" compile torch.txt -o torch-hashed.txt --constraint build.txt --constraint runtime.txt
compile peers.in -o peers.txt --no-emit-package torch --constraint torch.txt
