"""A step that computes with a model that it loads puts the model on the rank's device first."""

import ast

import pytest

from tests.support.project_files import package_files, relative, syntax_tree

LOADERS = {"load_policy", "load_model"}
PLACERS = {"on_rank_device", "rank_device"}
IN_HOST_MEMORY = {
    # Tried once after it was written, and dropped.
    "tasks/model/files.py": {"save_policy"},
    # Weights that are added up, compared or saved.
    "tasks/attribution/opened.py": {"_read", "load_weights", "own_policy"},
    "tasks/attribution/surgery.py": {"_merged"},
    "tasks/merge/controls.py": {"_states", "merge_average.make"},
    "tasks/merge/soup.py": {"_states", "merge_checkpoints.make"},
    "tasks/model/trained_elsewhere.py": {"as_checkpoint"},
    "tasks/mopd/counterfactual/recompute.py": {"_trained_end"},
    "tasks/onpolicy/student_files.py": {"_save_merged", "save_student"},
    # Moved by what trains or scores with it: Hugging Face's trainer, the round, the teacher pool.
    "tasks/mid_training/steps.py": {"read_on.make"},
    "tasks/mopd/round.py": {"_Round._make"},
    "tasks/mopd/teacher_pool/weights.py": {"ModuleTemplate.__init__", "ModuleTemplate.read"},
    "tasks/preference/steps.py": {"_reference", "learn_preferences.make"},
    "tasks/sft/image_base.py": {"make_image_base.make"},
    "tasks/sft/steps.py": {"finetune.make"},
    "tasks/sft/warm_up.py": {"_Cycle.train.make"},
}


def names(node):
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def functions(node, outer=()):
    """Yield every function with its qualified name."""
    for child in ast.iter_child_nodes(node):
        inside = (
            (*outer, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else outer
        )
        if isinstance(child, ast.FunctionDef):
            yield ".".join(inside), child
        yield from functions(child, inside)


def unplaced(tree):
    """Yield the innermost functions that load a model and name no device."""
    loading = {name: f for name, f in functions(tree) if names(f) & LOADERS}
    for name, function in loading.items():
        is_innermost = not any(other.startswith(f"{name}.") for other in loading)
        if is_innermost and not names(function) & PLACERS:
            yield name


def test_every_loaded_model_is_placed_or_named_here():
    found = {}
    for file in package_files():
        if relative(file).startswith("tasks/") and (some := set(unplaced(syntax_tree(file)))):
            found[relative(file)] = some
    assert found == IN_HOST_MEMORY


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f():\n    return play(load_policy(folder))", ["f"]),
        ("def f():\n    return play(on_rank_device(load_policy(folder)))", []),
        ("def f():\n    def g():\n        load_model(folder)\n    return g", ["f.g"]),
        ("def f():\n    return folder", []),
    ],
)
def test_a_load_without_a_device_is_found(code, expected):
    assert list(unplaced(ast.parse(code))) == expected
