"""What a role may do to a key of the store."""


def may(team: str, act: str, key: str) -> bool:
    """Return whether a team may create, overwrite or delete an object."""
    mine = key.startswith((f"keys/projects/{team}/", "blobs/"))
    return act == "create" and mine
