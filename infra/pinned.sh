#!/usr/bin/env bash
# Prints a kustomization's objects with every image by digest:
#   infra/pinned.sh infra/mlflow | kubectl apply --filename -
# Upstream images come from images/upstream.lock, ours from images/bound.toml. A second argument is the name
# of a cpu image that a laptop's cluster has loaded and that no registry knows.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:?Name a folder with a kustomization.yaml}
loaded=${2:-}
if [[ ! -f images/upstream.lock ]]; then
    echo >&2 "images/upstream.lock is not there, so that no image is pinned: run images/pin.sh"
    exit 1
fi

program=()
while read -r _ reference; do
    program+=(-e "s#image: ${reference%@*}\$#image: $reference#")
done < <(grep -v '^#' images/upstream.lock)
if [[ -n $loaded ]]; then
    program+=(-e "s#image: provost/cpu\$#image: $loaded#")
elif [[ -f images/bound.toml ]]; then
    program+=(-e "s#image: provost/cpu\$#image: $(sed -n 's/^cpu = "\(.*\)"$/\1/p' images/bound.toml)#")
fi

objects=$(kubectl kustomize "$folder" | sed "${program[@]}")
# What Flyte puts another image in the place of, and what was loaded, have no digest to have.
unpinned=$(grep -E '^ *-? *image: ' <<<"$objects" |
    grep -vE "@sha256:[0-9a-f]{64}\$|registry\.invalid/|image: ${loaded:-nothing}\$" || true)
if [[ -n $unpinned ]]; then
    echo >&2 "Not pinned by images/upstream.lock or images/bound.toml (images/pin.sh, images/build.sh):"
    echo >&2 "$unpinned"
    exit 1
fi
printf '%s\n' "$objects"
