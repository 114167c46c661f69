"""Which versions of vLLM sample for a run: one, and at best the one that the rollout image has."""

from tasks.platform.progress import report
from tasks.platform.ranks import exchange_json, rank
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError

LOCKED = "0.32.0"
"""The version in ``images/rollout/requirements.in``, with which the engine tests run."""


def server_version(client: VllmClient) -> str:
    """Return the version that a server reports, without the name of a build such as ``+cpu``.

    Raises:
        VllmError: without an answer, or ``no-version`` for an answer without a version.
    """
    version = client.get("/version").get("version")
    if not isinstance(version, str) or not version:
        raise VllmError(
            "no-version",
            f"a server does not report its version ({version!r}): it must be vLLM as locked in "
            "images/rollout",
        )
    return version.partition("+")[0]


def refuse_other_versions(url: str, version: str) -> None:
    """Compare the versions of all ranks' servers; warn of one that was not tested. Collective.

    Raises:
        VllmError: ``other-version``, on all ranks, if servers are of different versions.
    """
    pairs = [pair for pair in exchange_json([url, version]) if isinstance(pair, list)]
    found = {str(each): str(of_rank) for each, of_rank in pairs}
    if len(set(found.values())) > 1:
        named = ", ".join(f"{each} has {one}" for each, one in sorted(found.items()))
        raise VllmError(
            "other-version",
            f"the vLLM servers of this run are of different versions ({named}), so ranks would "
            f"sample from different kernels: start all of them from one image, at best with "
            f"{LOCKED}",
        )
    if version != LOCKED and rank() == 0:
        report(
            "vllm",
            0,
            0,
            message=f"warning: the servers are vLLM {version}, and this version of Provost was "
            f"tested with {LOCKED} alone (images/rollout)",
        )
