"""The tests of HumanEval+ and MBPP+ (Liu et al., arXiv 2305.01210), which have many inputs for each problem.

EvalPlus' own files have the inputs and a solution with which a program must agree. The files on the hub have
the outputs, in tests that import numpy for one comparison; the sandbox has no numpy, so a few lines replace
it. Unlike in EvalPlus, inputs that JSON stores as lists stay lists even if the problem means tuples or sets.
"""

import re
from collections.abc import Mapping
from typing import Any

# Problems whose outputs are compared as sets, and problems for which a match object counts as True.
_AS_SETS = (
    *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum"),
    *("intersection_array", "find_dissimilar", "Diff"),
)
_AS_TRUTH = ("check_str", "text_match_three", "text_starta_endb")

_CLOSE = """
class np:
    ndarray, float64, float32 = type("ndarray", (), {}), float, float
    @staticmethod
    def allclose(one, other, rtol=1e-05, atol=1e-08):
        if isinstance(one, (list, tuple)) or isinstance(other, (list, tuple)):
            return len(one) == len(other) and all(np.allclose(a, b, rtol, atol) for a, b in zip(one, other))
        return bool(one == other or abs(one - other) <= atol + rtol * abs(other))
"""

_BY_REFERENCE = """
def check(candidate):
    from copy import deepcopy
    inf, nan = float("inf"), float("nan")
    reference = {{}}
    exec({reference!r}, reference)
    def is_floats(value):
        if isinstance(value, (list, tuple)):
            return bool(value) and all(map(is_floats, value))
        return isinstance(value, float)
    for given in {inputs}:
        expected = reference[{entry_point!r}](*deepcopy(given))
        found = candidate(*deepcopy(given))
        if {entry_point!r} == "find_zero":
            assert abs(reference["poly"](*given, found)) <= {tolerance!r}
        elif {entry_point!r} in {as_sets!r}:
            assert set(found) == set(expected)
        elif {entry_point!r} in {as_truth!r}:
            assert (found if isinstance(found, bool) else found is not None) == (
                expected if isinstance(expected, bool) else expected is not None)
        elif found != expected:
            tolerance = {tolerance!r} or (1e-6 if is_floats(expected) else 0)
            assert tolerance and np.allclose(found, expected, rtol=1e-07, atol=tolerance)
"""


def has_inputs(row: Mapping[str, Any]) -> bool:
    """Whether a row is from one of EvalPlus' own files."""
    return "plus_input" in row


def test_by_reference(row: Mapping[str, Any], *, reference: str) -> str:
    """The source of `check(candidate)`, which compares a candidate with the `reference` on every input.

    Raises:
        ValueError: the row lacks inputs.
    """
    inputs = [row.get(name) for name in ("base_input", "plus_input")]
    if not all(isinstance(one, list) for one in inputs):
        raise ValueError("base_input, plus_input: must be lists of arguments")
    return _CLOSE + _BY_REFERENCE.format(
        reference=reference,
        inputs=repr([given for one in inputs for given in one or []]),
        entry_point=str(row.get("entry_point")),
        tolerance=float(row.get("atol") or 0),
        as_sets=_AS_SETS,
        as_truth=_AS_TRUTH,
    )


def without_numpy(test: str) -> str:
    """The same test with a few lines in place of the import of numpy."""
    return re.sub(r"(?m)^import numpy as np[ \t]*$", lambda _: _CLOSE, test)
