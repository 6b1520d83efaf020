"""Class bodies that may read a global variable whose name they also bind (`class A: x = x`).

Python decides at run time which of the two variables such a name means, so a renaming cannot follow it.
"""

from collections.abc import Iterator

import libcst as cst

from incoder.editing.renaming.variables import Variables, nodes_within


def read_before_bound(variables: Variables, name: str) -> cst.CSTNode | None:
    """A use of the name in a class body that may read the global before the body binds it; else None."""
    for node in variables.of_type(cst.ClassDef):
        scope = variables.scopes[node.body.body[0]]
        if scope is None or not scope.assignments[name]:
            continue
        reads = {access.node for access in scope.accesses[name]}
        for statement in _statements(node.body):
            read = next((one for one in nodes_within(statement) if one in reads), None)
            if read is not None:
                return read
            if _certainly_binds(statement, name):
                break
    return None


def _statements(body: cst.BaseSuite) -> Iterator[cst.CSTNode]:
    """Yield the statements of a body one by one, even if several share a line."""
    for statement in body.body:
        if isinstance(statement, cst.SimpleStatementLine):
            yield from statement.body
        else:
            yield statement


def _certainly_binds(statement: cst.CSTNode, name: str) -> bool:
    """Whether a statement of a class body certainly binds the name."""
    if isinstance(statement, cst.FunctionDef | cst.ClassDef):
        return statement.name.value == name
    targets: list[cst.BaseExpression] = []
    if isinstance(statement, cst.Assign):
        targets = [target.target for target in statement.targets]
    elif isinstance(statement, cst.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return any(isinstance(target, cst.Name) and target.value == name for target in targets)
