#!/usr/bin/env bash
# Print the images that compose.yaml names by tag, with the digests that those tags have now, as lines for .env:
#
#   make lock-images >> .env
#
# Needs a registry, and crane or docker with buildx to ask it.
set -euo pipefail
cd "$(dirname "$0")/.."

digest() {
    if command -v crane >/dev/null; then
        crane digest "$1"
    else
        docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
    fi
}

grep -oE '\$\{[A-Z]+_IMAGE:-[^}]+\}' compose.yaml | sort -u | while IFS= read -r found; do
    name=${found#'${'} name=${name%%:-*}
    image=${found#*:-} image=${image%'}'}
    found=$(digest "$image")
    if ! [[ $found =~ ^sha256:[0-9a-f]{64}$ ]]; then
        echo "$image: the registry gave no digest but: ${found:-nothing}" >&2
        exit 1
    fi
    # The Compose Specification takes a tag or a digest, not both.
    printf '# %s\n%s=%s@%s\n' "$image" "$name" "${image%:*}" "$found"
done
