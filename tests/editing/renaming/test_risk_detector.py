"""Risks of a renaming, construct by construct, and constructs that are no risk."""

import re

import pytest

from incoder.editing.edits import apply_edits
from incoder.editing.python_source import PythonSource
from incoder.editing.rename import find_variable, rename_to
from incoder.editing.renaming.renaming import Renaming
from incoder.editing.renaming.variables import Variables
from incoder.editing.selection import Selection
from incoder.errors import IncoderError


def renaming(text: str, name: str, *, force: bool = False) -> Renaming:
    source = PythonSource(text)
    variables = Variables(source)
    variable = find_variable(source, variables, name, Selection(is_all=True))
    return Renaming(source, variables, variable, force=force)


def renamed(text: str, name: str = "old", new: str = "new", *, force: bool = False) -> str:
    return apply_edits(text, rename_to(renaming(text, name, force=force), new).edits)


SAFE = {
    "a keyword of match": (
        "class P: ...\ndef f(p):\n    match p:\n        case P(old=OLD):\n            return OLD\n"
    ),
    "a mapping's key in match": "def f(p):\n    match p:\n        case {'old': OLD, **rest}: return OLD\n",
    "data in Literal": "from typing import Literal\ndef f(OLD: Literal['old']): return OLD\n",
    "data in Annotated, whose type is a name": (
        "from typing import Annotated\nimport m as OLD\ndef f(x: Annotated['OLD', 'old']): return x\n"
    ),
    "a parameter beside a subscript that is data": "T = {'old': int}\ndef f(OLD: T['old']): return OLD\n",
    "an optional string": "import m as OLD\nfrom typing import Optional\ndef f(x: Optional['OLD']): ...\n",
    "a string in a union": "import m as OLD\ndef f(x: 'list[OLD.A] | None', y: list['OLD.A']): ...\n",
    "a local that has a builtin's name": "def f(n):\n    OLD = n\n    return OLD, range(n)\n",
    "a local beside a star import": "from math import *\ndef f(OLD):\n    return OLD * pi\n",
    "a local beside an eval of another function": (
        "def f(x):\n    OLD = x\n    return OLD\ndef g(x):\n    return eval('x')\n"
    ),
    "a local that a dict has as its key": "def f(d):\n    OLD = d['old']\n    return OLD, {'old': OLD}\n",
    "a local that a format names": "def f(x):\n    OLD = x\n    return '{old}'.format(old=OLD)\n",
    "a variable beside `__name__`": "def f(x):\n    OLD = x\n    OLD\nif __name__ == '__main__': f()\n",
    "self": "from m import B\nclass A(B):\n    def f(OLD, x): return OLD.x\n",
    "a parameter of a builtin's heir": "class E(ValueError):\n    def __init__(s, OLD): s.x = OLD\n",
    "a property's setter": (
        "class A:\n    @property\n    def x(self): return 1\n    @x.setter\n    def x(self, OLD): y = OLD\n"
    ),
    "a parameter beside code with a dict of its own": "def g(OLD):\n    n = {'x': 1}\n    exec('x', n)\n",
    "a base's __init__": (
        "from m import B\nclass A:\n    def __init__(self, OLD): ...\n"
        "class C(B):\n    def __init__(self, **k): super().__init__(**k)\n"
    ),
    "a method that is called test": "class A:\n    def test(self, OLD): ...\n",
    "a function that is only called": "def OLD(x):\n    return x\nprint(OLD(1))\n",
    "a wrapper, whose name functools replaces": (
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def OLD(*a): f(*a)\n    return OLD\n"
    ),
    "a function for sorted": "def f(OLD): return -OLD\nprint(sorted([1], key=f), list(map(f, [1])))\n",
    "a lambda for re.sub": "import re\ny = re.sub('a', lambda OLD: OLD[0], 'a')\n",
    "variables that are bound where errors are kept": (
        "def f(xs):\n    OLD = 0\n    for x in xs:\n        OLD += x\n    return OLD\n"
        "try: f(1)\nexcept Exception as e: print(e)\n"
    ),
    "variables of blocks where errors are kept": (
        "def f(xs):\n    for OLD in xs:\n        try:\n            print(OLD)\n"
        "        except Exception as e: print(e)\n"
    ),
    "a model in evaluation mode": "def f(model):\n    OLD = model.eval()\n    return OLD\n",
}


@pytest.mark.parametrize("name", SAFE)
def test_code_that_cannot_know_the_name_is_no_risk(name: str) -> None:
    # A global of "range" would be in risk, a local is not; the others are called old.
    old = "range_" if "builtin's name" in name else "old"
    assert renamed(SAFE[name].replace("OLD", old), old) == SAFE[name].replace("OLD", "new")


RISKS = {
    "data in an annotation": ("T = {'old': int}\nold = 1\ndef f(x: T['old']): ...\n", "string .* it", 1),
    "a subscript in an annotation": ("old = 1\ndef f(x: T['old.x + 1']): ...\n", "annotation may mean", 2),
    "a second `{x=}`": ("def f(old):\n    print(f'{x=}')\n    return f'{old=}'\n", "shows its name", 3),
    "a name that is sometimes a builtin": ("if x:\n    range = xrange\n", "is the builtin", 2),
    "a name that was a builtin": (
        "try:\n    unicode\nexcept NameError:\n    unicode = str\n",
        "the builtin",
        4,
    ),
    "a star import": ("from math import *\nold = 1\n", "star import", 1),
    "eval": ("old = 1\nprint(eval('old + 1'))\n", "read by name: eval", 2),
    "eval under another name": ("e = eval\ndef f(old): return e('old')\n", "eval as a value", 1),
    "eval that is imported": ("from builtins import eval as e\ndef f(old): return e('old')\n", "by name", 1),
    "eval of builtins": ("import builtins\ndef f(old): return builtins.eval('old')\n", "builtins.eval", 2),
    "exec": ("old = 1\nexec('print(old)')\n", "read by name: exec", 2),
    "a format with globals()": ("old = 1\nprint('{old}'.format(**globals()))\n", "globals", 2),
    "a format with locals()": ("def f(old):\n    return '%(old)s' % locals()\n", r"locals\(\)", 2),
    "vars()": ("def f(x):\n    old = x\n    return vars()\n", r"vars\(\)", 3),
    "a made name of globals()": ("def cmd_a(): ...\nglobals()['cmd_' + 'a']()\n", "globals", 2),
    "sys.modules": ("import sys\nold = 1\ngetattr(sys.modules[__name__], 'o' + 'ld')\n", r"sys\.modules", 3),
    "modules of sys": ("from sys import modules as m\nold = 1\n", r"sys\.modules", 1),
    "import __main__": ("import __main__\nold = 1\n", "__main__", 1),
    "import_module": ("import importlib\nold = 1\nimportlib.import_module(x)\n", "import_module", 3),
    "dir": ("old = 1\nprint(dir())\n", r"dir\(\)", 2),
    "f_locals": ("def f(x):\n    old = x\n    g()\ndef g(): return h().f_locals\n", "f_locals", 4),
    "f_locals by getattr": ("def f(x):\n    old = x\ndef g(h): getattr(h, 'f_locals')\n", "f_locals", 3),
    "frames": ("import inspect\ndef f(x):\n    old = x\n    return inspect.stack()\n", "inspect.stack", 4),
    "the names of code": ("def f(old): ...\nprint(f.__code__.co_varnames)\n", "__code__", 2),
    "source text": ("import inspect\ndef f(old): ...\nprint(inspect.getsource(f))\n", "getsource", 3),
    "a path in a string": ("old = 1\nrun('main:old')\n", "string may mean it", 2),
    "a dotted path": ("old = 1\nload('pkg.main.old')\n", "string may mean it", 2),
    "patch": ("old = 1\npatch('__main__.old')\n", "__main__", 2),
    "patch of a module": ("old = 1\npatch('m.old')\n", "string may mean it", 2),
    "a query of the caller's variables": (
        "def f(d, old):\n    return d.query('a > @old')\n",
        "evaluate a text",
        2,
    ),
    "a query of tables": ("def f(db):\n    old = 1\n    return db.sql('select * from old')\n", "evaluate", 3),
    "a formula": ("def f(m):\n    old = 1\n    return m.ols('y ~ old')\n", "evaluate a text", 3),
    "a click option": ("@click.option('--dry-run')\ndef f(dry_run): ...\n", "decorator option", 1),
    "a typer command": ("@app.command()\ndef f(old: int): ...\n", "decorator command", 1),
    "a command added later": ("def f(old: int): ...\ntyper.run(f)\n", "used as a value", 2),
    "Fire with nothing": ("import fire\ndef old(): ...\nfire.Fire()\n", "Fire", 3),
    "a doctest of a global": ("'''>>> old + 1'''\nold = 1\n", "doctest", 1),
    "a doctest of a parameter": ("def f(old):\n    '''>>> f(old=1)'''\n", "doctest gives it by name", 2),
    "a registry by __name__": (
        "def r(f): R[f.__name__] = f\n@r\ndef old(): ...\n",
        "keep the function's name",
        2,
    ),
    "a registry by hand": ("def old(): ...\nR = {f.__name__: f for f in (old,)}\n", "used as a value", 2),
    "methodcaller": (
        "class A:\n    def f(s, old): ...\nmethodcaller('f', old=1)(A())\n",
        "as a value|by name",
        3,
    ),
    "a method by a made name": (
        "class A:\n    def f_x(s, old): ...\ngetattr(A(), 'f_' + x)(old=1)\n",
        "gives it by name",
        3,
    ),
    "dataclasses.replace": (
        "@dataclass(init=False)\nclass A:\n    def __init__(self, old): ...\nreplace(A(1), old=2)\n",
        "decorator of A",
        1,
    ),
    "singledispatch": ("@singledispatch\ndef old(x): ...\n", "decorator singledispatch", 1),
    "what singledispatch registers": ("@f.register\ndef _(old: int): ...\n", "decorator register", 1),
    "a test": ("def test_old(): ...\n", "find it by its name", 1),
    "a setup of tests": ("def setup_module(): ...\n", "find it by its name", 1),
    "an override of an imported class": (
        "from m import B\nclass A(B):\n    def f(self, old): ...\n",
        "A derives from B",
        2,
    ),
    "a method of a mixin": (
        "from m import B\nclass A:\n    def f(self, old): ...\nclass C(A, B): ...\n",
        "C derives from B",
        4,
    ),
    "an override in the file": (
        "class A:\n    def f(self, x): ...\nclass B(A):\n    def f(self, old): ...\n",
        "A has a method f",
        2,
    ),
    "a metaclass": (
        "from m import M\nclass A(metaclass=M):\n    def f(self, old): ...\n",
        "derives from M",
        2,
    ),
    "ForwardRef": ("old = int\nx = ForwardRef('old')\n", "string may mean it", 2),
    "TypedDict": ("old = TypedDict('old', {'x': int})\n", "string may mean it", 1),
    "NamedTuple": ("old = NamedTuple('old', [('x', int)])\n", "string may mean it", 1),
    "cast": ("import m as old\nx = cast('list[old.A]', y)\n", "string may mean it", 2),
    "a concatenated annotation": ("import m as old\ndef f(x: 'list[' 'old.A]'): ...\n", "may mean it", 2),
    "an escaped annotation": ("import m as old\ndef f(x: 'ol\\x64.A'): ...\n", "may mean it", 2),
    "types that are read": (
        "import typing\nold = int\ndef f(x: 'old'): ...\ntyping.get_type_hints(f)\n",
        "get_type_hints",
        4,
    ),
    "a ligature": ("file = 1\nprint(ﬁle)\n", "spelled ﬁle", 1),
    "the name of a class": ("class old: ...\nprint(old())\n", "name of their class", 1),
    "a class in a function": (
        "def old():\n    class A: ...\n    return A\nprint(old())\n",
        "__qualname__",
        2,
    ),
    "a signature that has self": (
        "import inspect\nclass A:\n    def f(old): ...\nprint(inspect.signature(A.f))\n",
        "signature",
        4,
    ),
    "an error's text": (
        "def f(old): ...\ntry:\n    f()\nexcept TypeError as e: print(e)\n",
        "does not fit",
        3,
    ),
    "an unbound variable's error": (
        "def f(x):\n    try:\n        if x: old = 1\n        old\n    except NameError as e: print(e)\n",
        "an error that is caught",
        5,
    ),
    "an unbound variable's error, elsewhere": (
        "def f(x):\n    if x: old = 1\n    return old\ntry: f(0)\nexcept Exception as e: print(e)\n",
        "may be unbound",
        5,
    ),
    "an error's text of a method": (
        "class A:\n    def f(self, old): ...\ntry: A().f()\nexcept TypeError as e: print(e)\n",
        "does not fit f",
        3,
    ),
    "an error's text of a class": (
        "class A:\n    def __init__(self, old): ...\ntry: A()\nexcept TypeError as e: print(e)\n",
        "does not fit __init__",
        3,
    ),
    "code that is evaluated": ("def f(old): ...\neval('f(old=1)')\n", "eval", 2),
    "a module's __getattr__": ("old = 1\ndef __getattr__(name): ...\n", "__getattr__", 2),
}
# The names of those that are not called old.
NAMES = {
    "a name that is sometimes a builtin": "range",
    "a name that was a builtin": "unicode",
    "a made name of globals()": "cmd_a",
    "a click option": "dry_run",
    "a test": "test_old",
    "a setup of tests": "setup_module",
    "a ligature": "file",
}


@pytest.mark.parametrize("name", RISKS)
def test_code_that_may_know_the_name_is_a_risk_with_its_line_unless_forced(name: str) -> None:
    text, said, line = RISKS[name]
    old = NAMES.get(name, "old")
    with pytest.raises(IncoderError, match=r"cannot be renamed safely: .*; --force renames it all the same"):
        renaming(text, old)
    forced = renaming(text, old, force=True)
    assert any(re.search(said, one.reason) and one.line == line for one in forced.risks), [
        str(one) for one in forced.risks
    ]
    if name != "a ligature":
        assert forced.problem("fresh") is None
        assert any(caveat.startswith("not safe: ") for caveat in forced.caveats)


@pytest.mark.parametrize(
    ("new", "said"), [("ﬁle", "reads ﬁle as file"), ("ｉｆ", "reads ｉｆ as if"), ("test_x", "by its name")]
)
def test_new_names_are_as_python_reads_them_and_not_found_by_others(new: str, said: str) -> None:
    with pytest.raises(IncoderError, match=said):
        renamed("def old(): ...\n", new=new)


def test_force_takes_no_name_that_means_something_else() -> None:
    text = "def f(old, taken):\n    return eval('old') + old\n"
    assert "def f(new, taken)" in renamed(text, force=True)
    with pytest.raises(IncoderError, match="taken already means something there"):
        renamed(text, new="taken", force=True)
    with pytest.raises(IncoderError, match="attribute of a class"):
        renaming("class A:\n    old = 1\n", "old", force=True)


DOCUMENTED = '''\
def f(old, other, *, k=None):
    """Do with `old`, ``old`` and old what is to be done; `old.x` stays, as *old* does.

    Args:
        old (int): the old one.
            old: no entry, since it is indented further.
        other: not old.

    Parameters
    ----------
    other, old : int
        The old one.

    Returns
    -------
    old : int
        Its result.

    :param old: the old one
    :param int old: the old one
    :type old: int
    >>> f(1, `old`)
    """
    return old
'''


def test_documentation_follows_a_parameter() -> None:
    new = renamed(DOCUMENTED)
    changed = [
        (one, two) for one, two in zip(DOCUMENTED.splitlines(), new.splitlines(), strict=True) if one != two
    ]
    assert [two.strip() for _, two in changed] == [
        "def f(new, other, *, k=None):",
        '"""Do with `new`, ``new`` and old what is to be done; `old.x` stays, as *old* does.',
        "new (int): the old one.",
        "other, new : int",
        ":param new: the old one",
        ":param int new: the old one",
        ":type new: int",
        "return new",
    ]


def test_documentation_of_a_class_follows_the_parameters_of_its_init() -> None:
    text = (
        'class A:\n    """A.\n\n    Args:\n        old: it.\n    """\n    def __init__(self, old): x = old\n'
    )
    assert renamed(text).count("new") == 3


def test_documentation_follows_what_collects_arguments() -> None:
    text = 'def f(*old):\n    """F.\n\n    Args:\n        *old: all.\n    """\n    return old\n'
    assert renamed(text) == text.replace("old", "new")


def test_code_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(IncoderError, match="nested too deeply"):
        renaming(f"old = 1\nx = old{'.a()' * 600}\n", "old")


def test_lone_carriage_returns_are_line_ends() -> None:
    assert renamed("def f(old):\r    return old\r") == "def f(new):\r    return new\r"


def test_form_feeds_stay_where_libcst_keeps_them_else_the_file_is_refused() -> None:
    text = "def f(old):\n    return old\n\x0c\nx = f(old=1)\n"
    assert renamed(text) == text.replace("old", "new")
    with pytest.raises(IncoderError, match="form feeds before code"):
        renamed(text.replace("\x0c\n", "\x0c"))


def test_documentation_that_the_program_reads_stays() -> None:
    text = 'def f(old):\n    """Give `old`."""\n    return old\nprint(A.__doc__)\n'
    assert renamed(text) == text.replace("old)", "new)").replace("return old", "return new")


def test_documentation_of_local_variables_stays() -> None:
    text = 'def f(x):\n    """Give `old`."""\n    old = x\n    return old\n'
    assert renamed(text).count("new") == 2
