"""A signed link leads to where a browser gets, which knows the object store by another name."""

import re
from urllib.parse import urlsplit

from tests.support.manifests import INFRA, load

FORWARDED = re.compile(r"--namespace (\S+) port-forward service/(\S+) (\d+)")
"""What up.sh tells a person to forward: namespace, service, port."""


def configuration(values):
    return load(INFRA / values)["configuration"]


def test_the_laptop_signs_for_the_address_that_its_person_forwards():
    laptop = configuration("laptop/flyte-values.yaml")
    within = urlsplit(laptop["storage"]["providerConfig"]["s3"]["endpoint"])
    signed = urlsplit(laptop["inline"]["storage"]["signedURL"]["stowConfigOverride"]["endpoint"])
    assert (signed.scheme, signed.hostname) == ("http", "127.0.0.1")
    service, namespace = within.hostname.split(".")[:2]
    forwarded = FORWARDED.findall((INFRA / "laptop" / "up.sh").read_text("utf-8"))
    assert (namespace, service, str(signed.port)) in forwarded
    assert signed.port == within.port  # port-forward keeps the number


def test_where_the_store_is_outside_the_cluster_both_have_one_address():
    production = configuration("flyte/values.yaml")
    assert "endpoint" not in production["storage"]["providerConfig"]["s3"]
    assert "storage" not in production["inline"]
