"""Every place of a module that can be mutated, each with what it is known by."""

import ast
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

OPERATORS = tuple(
    f"core/{name}"
    for name in (
        *(
            f"ReplaceBinaryOperator_{swap}"
            for swap in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_FloorDiv")
        ),
        *(
            f"ReplaceComparisonOperator_{swap}"
            for swap in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")
        ),
        "ReplaceComparisonOperator_Is_IsNot",
        "ReplaceComparisonOperator_IsNot_Is",
        "ReplaceUnaryOperator_USub_UAdd",
        "ReplaceUnaryOperator_Delete_Not",
        "AddNot",
        "ReplaceTrueWithFalse",
        "ReplaceFalseWithTrue",
        "ReplaceAndWithOr",
        "ReplaceOrWithAnd",
        "ReplaceBreakWithContinue",
        "ReplaceContinueWithBreak",
        "NumberReplacer",
        "ZeroIterationForLoop",
    )
)
"""Those that turn a right program into a wrong one of the same types. Bit operators, exceptions,
decorators and inserted variables mostly give programs that cannot be imported."""


@dataclass(frozen=True)
class Site:
    """A mutant: where it is, and its statement before and after, without layout or comments."""

    module: str
    function: str
    operator: str
    occurrence: int
    before: str
    after: str


def places(source: str) -> list[tuple[str, int]]:
    """Return each operator that applies to a module, with each of its occurrences."""
    nodes = list(ast_nodes(get_ast(source)))
    return [
        (name, occurrence)
        for name in OPERATORS
        for operator in [get_operator(name)()]
        for occurrence in range(sum(len([*operator.mutation_positions(node)]) for node in nodes))
    ]


def site(module: str, source: str, operator: str, occurrence: int) -> Site | None:
    """Return the mutant of a place, or None where the tree stays the same or is not Python."""
    mutated = mutate_code(source, get_operator(operator)(), occurrence)
    try:
        change = _change(ast.parse(source), ast.parse(mutated)) if mutated else None
    except SyntaxError:  # such as "not" before an assignment expression
        return None
    return Site(module, change[0], operator, occurrence, *change[1:]) if change else None


def sites(module: str, source: str, operator: str) -> list[Site]:
    """Return all mutants of a module by one operator."""
    mutants = (site(module, source, *place) for place in places(source) if place[0] == operator)
    return [mutant for mutant in mutants if mutant]


def _change(before: ast.AST, after: ast.AST) -> tuple[str, str, str] | None:
    """Return the function and the innermost statement that differ, or None where none does."""
    path: list[str] = []
    statements = None
    while True:
        if isinstance(before, ast.stmt) and isinstance(after, ast.stmt):
            statements = before, after
            if isinstance(before, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                path.append(before.name)
        inner = next(
            (
                (old, new)
                for old, new in zip(
                    ast.iter_child_nodes(before), ast.iter_child_nodes(after), strict=False
                )
                if ast.dump(old) != ast.dump(new)
            ),
            None,
        )
        if inner is None:
            break
        before, after = inner
    if statements is None or ast.dump(statements[0]) == ast.dump(statements[1]):
        return None
    return ".".join(path) or "<module>", _text(statements[0]), _text(statements[1])


def _text(statement: ast.stmt) -> str:
    """Return a statement in canonical layout; of a compound one, its head alone."""
    head = ast.parse(ast.unparse(statement)).body[0]
    for part in ("body", "orelse", "finalbody", "handlers"):
        if hasattr(head, part):
            setattr(head, part, [ast.Expr(ast.Constant(...))] if part == "body" else [])
    return ast.unparse(head)
