"""Runs the command as a person would, and looks at how it refuses."""

from click.testing import CliRunner

from lineage.store.store import open_store, read_tree
from workflows.cli import main


def provost(*arguments):
    """Run a command that should succeed; return what it printed."""
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refusal(*arguments):
    """Run a command that should be refused; return the message, which holds no traceback.

    An exception that is no refusal comes through, as it would come to the user's screen.
    """
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output.partition("Last lines of its output:")[0]
    assert "Error encountered while executing" not in result.output, "flytekit speaks to the user"
    return result.output


def flip(tree, name):
    """Flip one bit in the middle of a file of a tree in the store; return the blob's path."""
    store = open_store()
    [file] = [file for file in read_tree(store, tree).files if file.path == name]
    path = store.blobs.path(file.digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    return path
