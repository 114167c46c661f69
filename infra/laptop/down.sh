#!/usr/bin/env bash
# Removes the laptop's cluster with all that is in it: runs, databases, checkpoints.
set -euo pipefail
command -v kind >/dev/null || {
    echo >&2 "kind is not on this machine, so that no cluster of ours can be."
    exit 1
}
kind delete cluster --name provost
