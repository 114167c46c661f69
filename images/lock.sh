#!/usr/bin/env bash
# Writes the lock files of the images and of make test-engines: every package by version and hash.
# The images' have only such as have a wheel for Python 3.12 on x86-64 Linux of the bases' age
# (Debian 12: glibc 2.36), for an image builds none. Needs uv. The versions are those of
# constraints.txt; vLLM has a set of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lock() { # FILE INPUTS...
    compile "$@" --python-version 3.12 --python-platform x86_64-manylinux_2_36
}

compile() { # FILE INPUTS...
    local file=$1
    shift
    uv pip compile "$@" --only-binary :all: --generate-hashes --no-header --no-annotate --quiet \
        --output-file "$file" >/dev/null
    echo "$file: $(grep -c '==' "$file") packages"
}

ours=(pyproject.toml --extra cluster --extra lora --constraint constraints.txt)
lock images/train/requirements.lock "${ours[@]}"
# An override that never applies leaves torch out; what torch requires is named instead.
lock images/cpu/requirements.lock "${ours[@]}" images/cpu/torch-needs.in \
    --overrides images/cpu/without-torch.txt
lock images/rollout/requirements.lock images/rollout/requirements.in

# Not an image: vLLM on a CPU, for make test-engines with either Python. Without what text needs not.
compile tests/engines/vllm.lock tests/engines/vllm.in --universal --python-version 3.11 \
    --overrides tests/engines/vllm-without.txt
