"""Names of Python's and other libraries that a renaming must know, grouped by how they use names."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Attributes, imports and strings (for `getattr`) that lead to frames, to code objects or to source text.
FRAME_READERS = _words("""
    f_locals tb_frame gi_frame cr_frame ag_frame getargvalues getinnerframes getouterframes walk_stack
    walk_tb getsource getsourcelines getclosurevars getcallargs co_varnames co_names co_freevars co_cellvars
    co_code __code__ settrace setprofile capture_locals show_locals getblock linecache
""")

# The same for the variables of modules.
MODULE_READERS = _words("""
    __globals__ f_globals import_module getmodule run_module run_path interact InteractiveConsole
    __import__ __annotations__ get_type_hints get_annotations
""")

# The same for the parameters of functions.
SIGNATURE_READERS = _words("signature getfullargspec getargspec Signature from_callable")

# The same for the names of functions.
FUNCTION_NAME_READERS = _words("""
    __name__ __qualname__ co_name co_qualname funcName format_exc print_exc format_exception print_exception
    format_stack print_stack extract_stack extract_tb format_tb print_tb TracebackException stack_info
""")

# These take expressions as text, and look up names in the scope of their caller.
QUERIES = _words("""
    eval query evaluate sql sqldf read_sql timeit repeat Timer run runctx from_formula
""")

# Builtins of other versions of Python, which code defines for versions that lack them.
OTHER_BUILTINS = _words("""
    unicode xrange raw_input basestring long unichr reduce file cmp reload execfile intern apply buffer
    coerce WindowsError ExceptionGroup BaseExceptionGroup aiter anext EncodingWarning
""")

# Generic types: their elements are types, whichever module they are imported from.
GENERICS = _words("""
    Optional Union List Dict Set FrozenSet Tuple Type Sequence MutableSequence Mapping MutableMapping
    Iterable Iterator Generator AsyncIterable AsyncIterator AsyncGenerator Awaitable Coroutine Callable
    Collection Container ClassVar Final Required NotRequired ReadOnly Deque DefaultDict OrderedDict Counter
    ChainMap Concatenate TypeGuard TypeIs Unpack AbstractSet KeysView ValuesView ItemsView ContextManager
    AsyncContextManager list dict set frozenset tuple type deque defaultdict
""")

# Decorators that pass the arguments of every call on unchanged, and do not keep the function's name.
TRANSPARENT_DECORATORS = _words("""
    builtins.staticmethod builtins.classmethod builtins.property abc.abstractmethod
    functools.cache functools.lru_cache functools.wraps functools.cached_property
    contextlib.contextmanager contextlib.asynccontextmanager
    typing.override typing.overload typing.final
    typing_extensions.override typing_extensions.overload typing_extensions.final
""")

# Class decorators that read the parameters of no method but `__init__` and other constructors.
PLAIN_CLASS_DECORATORS = _words("""
    dataclasses.dataclass functools.total_ordering enum.unique typing.final typing.runtime_checkable
    typing_extensions.final typing_extensions.runtime_checkable
""")

# Bases that have no methods of their own, or call a subclass's methods only by position.
PLAIN_BASES = _words("""
    abc.ABC abc.ABCMeta enum.Enum enum.IntEnum enum.StrEnum enum.Flag enum.IntFlag
    typing.Generic typing.Protocol typing.NamedTuple typing.TypedDict
    typing_extensions.Generic typing_extensions.Protocol typing_extensions.NamedTuple
    typing_extensions.TypedDict
""")

# Functions that call their arguments by position, and do not keep them.
POSITIONAL_CALLERS = _words("""
    functools.reduce functools.cmp_to_key re.sub re.subn bisect.insort itertools.groupby itertools.takewhile
    itertools.dropwhile itertools.filterfalse itertools.starmap itertools.accumulate heapq.nlargest
    heapq.nsmallest
""")

# Functions and modules' variables that pytest and unittest find by their names.
TEST_HOOKS = _words("""
    setup_module teardown_module setup_function teardown_function setUpModule tearDownModule load_tests
    collect_ignore collect_ignore_glob pytestmark
""")
