"""The digest of a file's code: prose and layout keep it, and code changes it."""

import pytest

from tasks.platform import provenance

BEFORE = '''"""A module."""

RATE = 0.5
"""Its docstring."""


class Step:
    """A class."""

    size: int = 3
    """An attribute docstring."""

    def run(self, x, scale=2.0):
        """Run."""
        # a comment
        return f"{self.size * x}" + str(round(x * scale))
'''


def digest_of(folder, text):
    path = folder / f"{abs(hash(text))}.py"
    path.write_text(text, "utf-8")
    return provenance.code_digest(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another\n\n    text."""'),
        ('"""A module."""\n', ""),
        ('    """An attribute docstring."""\n', ""),
        ('        """Run."""\n', '        """Run it."""\n'),
        ("# a comment", '# other words, "quoted"'),
        ("x, scale=2.0", "x,\n        scale=2.0,\n    "),
        ("\n\n\nclass", "\n\nclass"),
        ('f"{self.size * x}" + str', "f'{self.size * x}' + str"),
    ],
)
def test_prose_and_layout_keep_the_digest(tmp_path, old, new):
    assert old in BEFORE
    assert digest_of(tmp_path, BEFORE.replace(old, new)) == digest_of(tmp_path, BEFORE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 0.5", "RATE = 0.25"),
        ("size: int = 3", "size: int = 3.0"),
        ("size: int = 3", "size: int = True"),
        ("scale=2.0", "scale=2.5"),
        ("round(x * scale)", "int(x * scale)"),
        ("round(x * scale)", "round(scale * x)"),
        ("round(x * scale)", "round(x * scale, 1)"),
        ("def run(self", "def step(self"),
        ("RATE = 0.5", "RATE = '0.5'"),
        ("RATE = 0.5", "RATE = 0.5\nMORE = 1"),
    ],
)
def test_code_changes_the_digest(tmp_path, old, new):
    assert old in BEFORE
    assert digest_of(tmp_path, BEFORE.replace(old, new)) != digest_of(tmp_path, BEFORE)
