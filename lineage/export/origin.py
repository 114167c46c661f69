"""URIs of what an export names: code, images, models of the Hub, artifacts, the place of a run."""

import re
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import JsonValue

from lineage.digest import hex_of
from lineage.errors import LineageError
from lineage.records.record import Attestation
from lineage.store.store import Store, read_tree
from lineage.store.tree import Tree

TREE = "provostTree1"
"""Names the digest of a folder's manifest: a DigestSet may have algorithms of its own."""
_IMAGE = re.compile(r"(?:(?P<name>[^@\s]+)@)?sha256:(?P<hex>[0-9a-f]{64})")
_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/].*)")


def plain_repository(remote: str) -> str:
    """Return a Git remote as an https address without user, password and ``.git``; "" for a path.

    A remote's address may contain a token, and an export is public.
    """
    scp = _SCP.fullmatch(remote) if "://" not in remote else None
    if scp:
        remote = f"ssh://{scp['host']}/{scp['path']}"
    parts = urlsplit(remote)
    if parts.scheme not in {"https", "http", "ssh", "git"} or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port and parts.scheme.startswith("http") else ""
    path = parts.path.rstrip("/").removesuffix(".git")
    scheme = "http" if parts.scheme == "http" else "https"
    return urlunsplit((scheme, parts.hostname + port, path, "", ""))


def files_of(store: Store, digest: str) -> Tree | None:
    """Return the files of a folder; None for a single blob, or if the store no longer has it."""
    try:
        return read_tree(store, digest)
    except LineageError:
        return None


def digest_set(store: Store, digest: str) -> dict[str, JsonValue]:
    """Return an artifact's digest by an algorithm that says what was hashed."""
    return {TREE if files_of(store, digest) else "sha256": hex_of(digest)}


def artifact_uri(digest: str) -> str:
    """Return the name of an artifact of a store."""
    return f"urn:provost:artifact:{digest}"


def hub_uri(source: str, revision: str) -> str:
    """Return the package URL of a model of the Hugging Face Hub."""
    return f"pkg:huggingface/{quote(source)}" + (f"@{revision}" if revision else "")


def code_dependencies(
    source: str, attestation: Attestation, repository: str
) -> list[dict[str, JsonValue]]:
    """Return source, commit and image as resolved dependencies, as far as they are known."""
    found: list[dict[str, JsonValue]] = []
    if source.startswith("sha256:"):
        uri = f"urn:provost:source:{source}"
        found.append({"name": "source", "uri": uri, "digest": {"sha256": hex_of(source)}})
    if attestation.commit:
        known: dict[str, JsonValue] = {
            "name": "commit",
            "digest": {"gitCommit": attestation.commit},
            "annotations": {"difference": attestation.dirty or "none"},
        }
        if repository:
            known["uri"] = f"git+{repository}@{attestation.commit}"
        found.append(known)
    image = _IMAGE.fullmatch(attestation.image)
    if image:
        found.append(_image(image["name"] or "", image["hex"]))
    return found


def platform(attestation: Attestation) -> str:
    """Return the name of the place that ran a step: a Flyte project and domain, or a machine."""
    run = attestation.flyte
    if run is None:
        return f"urn:provost:builder:{'flyte' if attestation.execution else 'local'}"
    host = urlsplit(run.url).netloc.rpartition("@")[2]
    return f"flyte://{host or 'unknown'}/{quote(run.project)}/{quote(run.domain)}"


def invocation(attestation: Attestation) -> str:
    """Return the address of the run's page, else the run's name; "" without either."""
    run = attestation.flyte
    if run is None:
        return attestation.execution
    return run.url or f"{run.project}/{run.domain}/{run.execution}/{attestation.attempt}"


def _image(name: str, hex_digest: str) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {"name": "image", "digest": {"sha256": hex_digest}}
    if name:
        last = name.rsplit("/", 1)[-1].partition(":")[0].lower()
        where = quote(name.partition(":")[0] if "/" not in name else _without_tag(name), safe="/:")
        found["uri"] = f"pkg:oci/{quote(last)}@sha256%3A{hex_digest}?repository_url={where}"
    return found


def _without_tag(name: str) -> str:
    """Return an image's repository without its tag; a registry's port stays."""
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]
