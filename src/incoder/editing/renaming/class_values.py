"""Expressions of a file whose value may be one of its classes, although they do not name the class.

These are `type(x)`, `x.__class__`, the first parameter of a method, and variables with one of these values.
If such a value is passed on, as in `make(type(x))`, any expression may have it as its value.
"""

import libcst as cst

from incoder.editing.renaming.variables import Variables


class ClassValues:
    """The expressions of a file that may be a class."""

    def __init__(self, variables: Variables) -> None:
        self._class_names = variables.class_names
        self._types: set[cst.CSTNode] = {
            node for node in variables.of_type(cst.Attribute) if node.attr.value == "__class__"
        }
        calls = variables.of_type(cst.Call)
        self._types |= {
            call
            for call in calls
            if isinstance(call.func, cst.Name) and call.func.value == "type" and len(call.args) == 1
        }
        seen: set[cst.CSTNode] = {call.func for call in calls}
        seen |= {node.value for node in variables.of_type(cst.Attribute)}
        seen |= {node.expression for node in variables.of_type(cst.FormattedStringExpression)}
        for comparison in variables.of_type(cst.Comparison):
            seen |= {comparison.left, *(one.comparator for one in comparison.comparisons)}
        for call in calls:
            if isinstance(call.func, cst.Name) and call.func.value in ("isinstance", "issubclass", "super"):
                seen |= {argument.value for argument in call.args}
        self._names = set[str]()
        for statement in variables.of_type(cst.Assign):
            targets = [one.target for one in statement.targets]
            if statement.value in self._types and all(isinstance(one, cst.Name) for one in targets):
                seen.add(statement.value)
                self._names |= {one.value for one in targets if isinstance(one, cst.Name)}
        self._are_given_away = bool(self._types - seen)
        for function in variables.of_type(cst.FunctionDef):
            first = [*function.params.posonly_params, *function.params.params][:1]
            self._names |= {parameter.name.value for parameter in first}

    def may_be(self, node: cst.BaseExpression) -> bool:
        """Whether the expression's value may be a class of the file."""
        if self._are_given_away or node in self._types:
            return True
        root = node.value if isinstance(node, cst.Subscript) else node
        if isinstance(root, cst.Name):
            return root.value in self._names | self._class_names
        if isinstance(root, cst.Attribute):  # `module.Class`, or a class in a class
            return root.attr.value in self._class_names
        return True
