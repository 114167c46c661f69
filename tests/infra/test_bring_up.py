"""The scripts and kustomizations that bring a cluster up: rendered, pinned, refused in time."""

import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import INFRA, ROOT, VERSIONS, is_custom

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")


@needs_kubectl
@pytest.mark.parametrize("folder", ["flyte", "mlflow", "laptop", "laptop/mlflow"])
def test_a_kustomization_renders_into_valid_objects(folder):
    command = ["kubectl", "kustomize", str(INFRA / folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for one in yaml.safe_load_all(run.stdout):
        if not is_custom(one):
            kubernetes_validate.validate(one, VERSIONS[0], strict=True)


@needs_kubectl
def test_the_laptop_s_mlflow_asks_for_a_password_too():
    command = ["kubectl", "kustomize", str(INFRA / "laptop" / "mlflow")]
    objects = list(yaml.safe_load_all(subprocess.check_output(command, text=True)))
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    server, login = deployment["spec"]["template"]["spec"]["containers"]
    assert "--host=127.0.0.1" in server["args"]
    assert "--htpasswd-file=/etc/login/htpasswd" in login["args"]
    assert {one["kind"] for one in objects} & {"Ingress", "ExternalSecret"} == set()


@pytest.fixture
def checkout(tmp_path):
    """A copy of what pinned.sh reads, with digests made up for the test."""
    shutil.copytree(INFRA, tmp_path / "infra")
    (tmp_path / "images").mkdir()
    lines = (ROOT / "images" / "upstream.txt").read_text().splitlines()
    pairs = [line.split() for line in lines if not line.startswith("#")]
    (tmp_path / "images" / "upstream.lock").write_text(
        "".join(f"{use} {image.rpartition(':')[0]}@sha256:{'a' * 64}\n" for use, image in pairs)
    )
    return tmp_path


def pinned(checkout, *arguments):
    command = ["bash", checkout / "infra" / "pinned.sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_kubectl
def test_images_are_put_in_by_digest(checkout):
    (checkout / "images" / "bound.toml").write_text(
        f'cpu = "registry.example.org/p/cpu@sha256:{"b" * 64}"\n'
    )
    run = pinned(checkout, "infra/mlflow")
    assert run.returncode == 0, run.stderr
    assert sorted(re.findall(r"image: (\S+)@sha256:(.)", run.stdout)) == [
        ("quay.io/oauth2-proxy/oauth2-proxy", "a"),
        ("registry.example.org/p/cpu", "b"),  # the server
        ("registry.example.org/p/cpu", "b"),  # what makes its tables
    ]


@needs_kubectl
@pytest.mark.parametrize(
    ("folder", "message"), [("infra/mlflow", "image: provost/cpu"), ("infra/laptop", "provost/cpu")]
)
def test_an_image_without_a_digest_is_refused(checkout, folder, message):
    run = pinned(checkout, folder)
    assert run.returncode == 1
    assert "Not pinned by images/upstream.lock or images/bound.toml" in run.stderr
    assert message in run.stderr
    assert run.stdout == ""


@needs_kubectl
def test_a_laptop_s_own_image_is_taken_as_it_was_loaded(checkout):
    run = pinned(checkout, "infra/laptop", "provost/cpu:0123abc")
    assert run.returncode == 0, run.stderr
    assert "image: provost/cpu:0123abc" in run.stdout


def test_without_pins_the_list_of_objects_is_empty(checkout):
    (checkout / "images" / "upstream.lock").unlink()
    run = pinned(checkout, "infra/mlflow")
    assert run.returncode == 1
    assert "no image is pinned: run images/pin.sh" in run.stderr


def test_the_cluster_s_script_names_the_tools_that_are_missing(tmp_path):
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    run = subprocess.run(
        [shutil.which("bash"), INFRA / "laptop" / "up.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr == (
        "Not on this machine: docker kind kubectl helm openssl htpasswd git. Install them and run "
        "this again.\n"
    )
