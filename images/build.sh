#!/usr/bin/env bash
# Builds the images from what is committed, pushes them, and writes what registration binds:
#   images/build.sh registry.example.org/provost [cpu train rollout]
# leaves images/bound.toml with a digest for each. Needs docker with buildx.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

registry=${1:?Name the registry and the folder in it, such as registry.example.org/provost}
shift
names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(cpu train rollout)

base_of() { # NAME
    if [[ ! -f images/upstream.lock ]]; then
        echo >&2 "images/upstream.lock is not there, so that no base is pinned: run images/pin.sh"
        return 1
    fi
    local base
    base=$(awk -v name="$1" '$1 == name { print $2 }' images/upstream.lock)
    if [[ ! $base =~ @sha256:[0-9a-f]{64}$ ]]; then
        echo >&2 "images/upstream.lock gives no digest for '$1' (found '$base'): run images/pin.sh"
        return 1
    fi
    echo "$base"
}

# First all that can be refused, then what takes long.
for name in "${names[@]}"; do
    base_of "$name" >/dev/null
done

commit=$(git rev-parse HEAD)
: >images/bound.toml.new
for name in "${names[@]}"; do
    told=$(mktemp)
    # The context is the commit and nothing else that lies about.
    git archive "$commit" pyproject.toml README.md LICENSE workflows tasks lineage images infra |
        docker buildx build - --file "images/$name/Dockerfile" --platform linux/amd64 \
            --build-arg "BASE=$(base_of "$name")" --build-arg "COMMIT=$commit" \
            --tag "$registry/$name:$commit" --provenance=mode=max --sbom=true \
            --metadata-file "$told" --push
    digest=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$told")
    rm "$told"
    echo "$name = \"$registry/$name@$digest\"" >>images/bound.toml.new
done
mv images/bound.toml.new images/bound.toml
cat images/bound.toml
