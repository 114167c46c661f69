"""Images are bound by digest, all of them, or registration is refused."""

import pytest
from flytekit.configuration import ImageConfig
from flytekit.core.python_auto_container import get_registerable_container_image

from images.names import ImageError, ImageName, bind, placeholder, read_references
from tests.support.refused import raised

DIGEST = "sha256:" + "0a" * 32
TRAIN = f"registry.example.org:5000/provost/train@{DIGEST}"


def test_flyte_puts_the_bound_digest_in_the_place_of_the_name():
    config = ImageConfig.validate_image(None, "image", [f"train={TRAIN}"])
    assert placeholder(ImageName.TRAIN) == "{{.image.train.fqn}}:{{.image.train.version}}"
    assert get_registerable_container_image(placeholder(ImageName.TRAIN), config) == TRAIN


def test_what_is_needed_is_returned_and_the_rest_left():
    references = {"train": TRAIN, "cpu": f"provost/cpu@{DIGEST}"}
    assert bind(references, [ImageName.CPU]) == {ImageName.CPU: f"provost/cpu@{DIGEST}"}


@pytest.mark.parametrize(
    "reference", ["provost/train:latest", "provost/train", f"{TRAIN}0", "train@sha256:12", ""]
)
def test_a_reference_without_a_digest_is_refused(reference):
    with raised(ImageError, "no-digest", repr(reference)):
        bind({"train": reference}, [])


def test_a_needed_image_that_is_not_bound_is_named():
    with raised(ImageError, "not-bound", "cpu"):
        bind({"train": TRAIN}, [ImageName.TRAIN, ImageName.CPU])


def test_a_name_that_no_task_has_is_refused_with_those_there_are():
    with raised(ImageError, "unknown-image", "gpu", "cpu, train, rollout"):
        bind({"gpu": TRAIN}, [])


def test_references_are_read_from_a_file_of_names_and_digests(tmp_path):
    file = tmp_path / "bound.toml"
    file.write_text(f'train = "{TRAIN}"\n')
    assert read_references(file) == {"train": TRAIN}


@pytest.mark.parametrize(
    ("text", "code"),
    [("train = 3\n", "not-a-reference"), ("train: x\n", "not-toml"), (None, "no-file")],
)
def test_a_file_that_says_anything_else_is_refused(tmp_path, text, code):
    file = tmp_path / "bound.toml"
    if text is not None:
        file.write_text(text)
    with raised(ImageError, code, str(file)):
        read_references(file)
