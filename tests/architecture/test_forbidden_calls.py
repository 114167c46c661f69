"""No code of ours evaluates text, opens a shell or trusts remote code.

Ruff bans pickles and their readers (``banned-api`` in pyproject.toml).
"""

import ast

import pytest

from tests.support.project_files import package_files, relative, syntax_tree

BUILTINS = {"eval", "exec", "__import__"}


def calls(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def keyword(call, name):
    return next((given.value for given in call.keywords if given.arg == name), None)


def is_false(node):
    return isinstance(node, ast.Constant) and node.value is False


def dangers(tree):
    """Yield (line, what) for each call that could run what someone else wrote."""
    for call in calls(tree):
        name = ast.unparse(call.func)
        if name in BUILTINS:
            yield call.lineno, f"{name}()"
        shell, trust = keyword(call, "shell"), keyword(call, "trust_remote_code")
        if shell is not None and not is_false(shell):
            yield call.lineno, "shell"
        if trust is not None and not is_false(trust):
            yield call.lineno, "trust_remote_code"
        if name.endswith(".from_pretrained") and trust is None:
            yield call.lineno, "from_pretrained() without trust_remote_code=False"


def test_no_module_calls_what_could_run_foreign_text():
    found = [
        f"{relative(file)}:{line} {what}"
        for file in package_files()
        for line, what in dangers(syntax_tree(file))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "eval(answer)",
        "exec(program)",
        "subprocess.run(line, shell=True)",
        "subprocess.run(line, shell=flag)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
        "AutoModel.from_pretrained(path)",
    ],
)
def test_each_danger_would_be_seen(code):
    assert len(list(dangers(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()",
        "AutoModel.from_pretrained(path, trust_remote_code=False)",
        "run(a, shell=False)",
    ],
)
def test_what_only_looks_dangerous_is_left_alone(code):
    assert list(dangers(ast.parse(code))) == []
