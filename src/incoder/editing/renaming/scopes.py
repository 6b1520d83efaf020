"""The scopes of a Python file as libcst sees them, with its mistakes corrected.

libcst does not know that captures of `match` bind names and that `:=` in a comprehension binds in the scope
around it. It takes the keywords of `case Point(x=1)` for names, and data in annotation strings, too.
"""

import libcst as cst
from libcst import metadata
from libcst.metadata.scope_provider import ComprehensionScope, ScopeVisitor


class CorrectedScopes(metadata.ScopeProvider):
    """libcst's provider of scopes, with the corrections."""

    def visit_Module(self, node: cst.Module) -> bool:
        visitor = _Visitor(self)
        node.visit(visitor)
        visitor.infer_accesses()
        return False


class _Visitor(ScopeVisitor):
    """libcst's, corrected: bindings that it does not know, and what is no name."""

    def _handle_string_annotation(self, node: cst.SimpleString | cst.ConcatenatedString) -> bool:
        """Skip strings: string_annotations.py reads them, and libcst takes data in annotations for names."""
        del node
        return False

    def visit_MatchKeywordElement(self, node: cst.MatchKeywordElement) -> bool:
        """Skip the keyword of `case Point(x=x)`, which is the name of an attribute."""
        node.pattern.visit(self)
        return False

    def visit_MatchAs(self, node: cst.MatchAs) -> bool:
        if node.pattern is not None:
            node.pattern.visit(self)
        return self._bound(node.name)

    def visit_MatchStar(self, node: cst.MatchStar) -> bool:
        return self._bound(node.name)

    def visit_MatchMapping(self, node: cst.MatchMapping) -> bool:
        for element in node.elements:
            element.visit(self)
        return self._bound(node.rest)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> bool:
        """Bind the target of `:=` in the scope around the comprehension (PEP 572)."""
        scope = self.scope
        while isinstance(scope, ComprehensionScope):
            scope = scope.parent
        with self._switch_scope(scope):
            node.target.visit(self)
        node.value.visit(self)
        return False

    def _bound(self, name: cst.Name | None) -> bool:
        if name is not None:
            self.scope.record_assignment(name.value, name)
        return False
