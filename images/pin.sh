#!/usr/bin/env bash
# Asks the registries what upstream.txt's tags point at now and writes upstream.lock, and
# PyTorch's index for the hash of the wheel without CUDA (cpu/torch.lock). Look at the difference
# before you commit it. Needs docker with buildx, uv, and the network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

{
    echo "# What the tags of upstream.txt pointed at on $(date -u +%F). Written by images/pin.sh."
    grep -v '^#' upstream.txt | while read -r use image; do
        digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}' </dev/null)
        [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || {
            echo >&2 "The registry gave no digest for $image, but: $digest"
            exit 1
        }
        echo "$use ${image%:*}@$digest"
    done
} >upstream.lock.new
mv upstream.lock.new upstream.lock

uv pip compile cpu/torch.in --no-deps --generate-hashes --no-header --no-annotate --quiet \
    --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
    --default-index https://download.pytorch.org/whl/cpu --output-file cpu/torch.lock >/dev/null
echo "Pinned. Commit images/upstream.lock and images/cpu/torch.lock."
