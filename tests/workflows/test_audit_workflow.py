"""The order of an audit's tasks."""

from collections import OrderedDict

from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.tools.translator import get_serializable

from workflows.audit import audit


def test_nothing_is_planned_or_trained_before_the_question_is_found_fit():
    image = Image(name="default", fqn="registry.example.org/provost", tag="1")
    settings = SerializationSettings(
        project="audit",
        domain="development",
        version="1",
        image_config=ImageConfig(default_image=image, images=[image]),
    )
    nodes = get_serializable(OrderedDict(), settings, audit).template.nodes
    before = {node.id: node.upstream_node_ids for node in nodes}
    assert before["question"] == []
    assert before["plan-replay"] == ["question"]
    assert before["plan-retrains"] == ["question"]
