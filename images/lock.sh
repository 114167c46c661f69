#!/usr/bin/env bash
# Writes the images' lock files: every package by version and hash, and only such as have a wheel for
# Python 3.12 on x86-64 Linux of the bases' age (Debian 12: glibc 2.36), for an image builds none.
# Needs uv. The versions are those of constraints.txt; the rollout image has a set of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lock() { # FILE INPUTS...
    local file=$1
    shift
    uv pip compile "$@" --python-version 3.12 --python-platform x86_64-manylinux_2_36 \
        --only-binary :all: --generate-hashes --no-header --no-annotate --quiet \
        --output-file "$file" >/dev/null
    echo "$file: $(grep -c '==' "$file") packages"
}

ours=(pyproject.toml --extra cluster --extra lora --constraint constraints.txt)
lock images/train/requirements.lock "${ours[@]}"
# An override that never applies leaves torch out; what torch requires is named instead.
lock images/cpu/requirements.lock "${ours[@]}" images/cpu/torch-needs.in \
    --overrides images/cpu/without-torch.txt
lock images/rollout/requirements.lock images/rollout/requirements.in
