#!/usr/bin/env bash
# Brings up Flyte, MLflow, PostgreSQL and an object store in a kind cluster on this machine.
# Needs docker, kind, kubectl, helm, openssl and htpasswd. Run it again to go on where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in docker kind kubectl helm openssl htpasswd git; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if [[ -n ${missing:-} ]]; then
    echo >&2 "Not on this machine: ${missing[*]}. Install them and run this again."
    exit 1
fi
docker info >/dev/null 2>&1 || {
    echo >&2 "Docker does not answer: start it, or join the group that may use it."
    exit 1
}
for lock in images/upstream.lock images/cpu/torch.lock; do
    [[ -f $lock ]] || {
        echo >&2 "$lock is not there, so that nothing is pinned: run images/pin.sh first."
        exit 1
    }
done

kind get clusters | grep -qx provost || kind create cluster --config infra/laptop/kind.yaml
kube=(kubectl --context kind-provost)

commit=$(git rev-parse HEAD)
image=provost/cpu:$commit
base=$(awk '$1 == "cpu" { print $2 }' images/upstream.lock)
git archive "$commit" pyproject.toml README.md LICENSE workflows tasks lineage images infra |
    docker build - --file images/cpu/Dockerfile --build-arg "BASE=$base" \
        --build-arg "COMMIT=$commit" --tag "$image"
kind load docker-image "$image" --name provost

secret() { # NAMESPACE NAME KEY=VALUE...: makes it once; what runs has the first one's passwords
    local namespace=$1 name=$2
    shift 2
    "${kube[@]}" --namespace "$namespace" get secret "$name" >/dev/null 2>&1 ||
        "${kube[@]}" --namespace "$namespace" create secret generic "$name" \
            "${@/#/--from-literal=}"
}
value() { # NAMESPACE NAME KEY
    "${kube[@]}" --namespace "$1" get secret "$2" --output "jsonpath={.data.$3}" | base64 --decode
}
fresh() { openssl rand -hex 24; }

for folder in infra/laptop infra/mlflow infra/flyte; do
    "${kube[@]}" apply --filename "$folder/namespace.yaml"
done
secret backing postgres "POSTGRES_PASSWORD=$(fresh)" "FLYTE_PASSWORD=$(fresh)" \
    "MLFLOW_PASSWORD=$(fresh)"
secret backing object-store AWS_ACCESS_KEY_ID=provost "AWS_SECRET_ACCESS_KEY=$(fresh)"
secret backing provost-signing "key=$(openssl genpkey -algorithm ed25519)"
s3_key=$(value backing object-store AWS_SECRET_ACCESS_KEY)
endpoint=http://object-store.backing.svc.cluster.local:9000
secret flyte flyte-database "password=$(value backing postgres FLYTE_PASSWORD)"
secret mlflow mlflow-database "MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://mlflow:$(
    value backing postgres MLFLOW_PASSWORD
)@postgres.backing.svc.cluster.local/mlflow"
secret mlflow object-store AWS_ACCESS_KEY_ID=provost "AWS_SECRET_ACCESS_KEY=$s3_key" \
    AWS_DEFAULT_REGION=us-east-1 "MLFLOW_S3_ENDPOINT_URL=$endpoint"
password=$(fresh)
secret mlflow mlflow-login client-secret=none "cookie-secret=$(openssl rand -hex 16)" \
    "htpasswd=$(htpasswd -nbB provost "$password")" "password=$password"

infra/pinned.sh infra/laptop "$image" | "${kube[@]}" apply --filename -
"${kube[@]}" --namespace backing rollout status statefulset/postgres --timeout 5m
"${kube[@]}" --namespace backing wait job/buckets --for condition=complete --timeout 5m
infra/pinned.sh infra/laptop/mlflow "$image" | "${kube[@]}" apply --filename -

templates=()
for file in infra/teams/0[1-6]*.yaml infra/laptop/teams/*.yaml; do # no external secrets here
    templates+=("--from-file=$file")
done
signing=$(mktemp --directory)
trap 'rm -r "$signing"' EXIT
value backing provost-signing key >"$signing/key"
"${kube[@]}" create secret generic provost-signing --namespace "{{ namespace }}" \
    --from-file="$signing/key" --dry-run=client --output yaml >"$signing/070_signing-key.yaml"
templates+=("--from-file=$signing/070_signing-key.yaml")
"${kube[@]}" --namespace flyte create configmap provost-team-resources "${templates[@]}" \
    --dry-run=client --output yaml | "${kube[@]}" apply --filename -
"${kube[@]}" apply --filename infra/flyte/network.yaml --filename infra/flyte/pod-templates.yaml
helm --kube-context kind-provost upgrade --install flyte flyte-binary --version v1.16.8 \
    --repo https://flyteorg.github.io/flyte --namespace flyte \
    --values infra/laptop/flyte-values.yaml \
    --set-string configuration.storage.providerConfig.s3.accessKey=provost \
    --set-string "configuration.storage.providerConfig.s3.secretKey=$s3_key" \
    --set-json "configuration.inline.plugins.k8s.default-env-vars=[
        {\"FLYTE_AWS_ENDPOINT\": \"$endpoint\"}, {\"AWS_ENDPOINT_URL\": \"$endpoint\"},
        {\"FLYTE_AWS_ACCESS_KEY_ID\": \"provost\"}, {\"AWS_ACCESS_KEY_ID\": \"provost\"},
        {\"FLYTE_AWS_SECRET_ACCESS_KEY\": \"$s3_key\"}, {\"AWS_SECRET_ACCESS_KEY\": \"$s3_key\"},
        {\"AWS_DEFAULT_REGION\": \"us-east-1\"},
        {\"MLFLOW_TRACKING_USERNAME\": \"provost\"},
        {\"MLFLOW_TRACKING_PASSWORD\": \"$(value mlflow mlflow-login password)\"}]" \
    --wait --timeout 10m
"${kube[@]}" --namespace mlflow rollout status deployment/mlflow --timeout 10m

cat <<TEXT
Up. In three shells of their own:
  kubectl --context kind-provost --namespace flyte port-forward service/flyte-http 8088
  kubectl --context kind-provost --namespace mlflow port-forward service/mlflow 4180
  kubectl --context kind-provost --namespace backing port-forward service/object-store 9000
(the last is where the console's links to Decks and outputs lead),
then http://127.0.0.1:8088/console, and http://127.0.0.1:4180 as provost with the password that
  kubectl --context kind-provost --namespace mlflow get secret mlflow-login \\
    --output 'jsonpath={.data.password}' | base64 --decode
prints. The tasks' image is $image: register with the flavor cpu.
TEXT
