"""Finds what TensorFlow 1.15 lacks in source that uses it: names, methods, arguments. Needs no TensorFlow.

A file is read as syntax alone. What a name stands for is followed through imports, annotations, assignments and `with`;
what cannot be followed is not checked. In a file that uses `tf.data` every call of a method that datasets have, in 1.15
or since, is taken for one of a dataset, unless its object is known to be something else.
"""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set

ANY = "?"
"""Something that is not known; nothing is said about it."""
OWN = ("benchmark", "datasets", "dllogger", "model", "objectives", "runtime", "test", "utils")
"""The project's packages."""
DATASET = "tf.data.Dataset"
LATER_DATASET_METHODS = frozenset((
    "as_numpy_iterator", "bucket_by_sequence_length", "cardinality", "choose_from_datasets", "counter", "fingerprint",
    "get_single_element", "group_by_window", "ignore_errors", "load", "ragged_batch", "random", "rebatch",
    "rejection_resample", "sample_from_datasets", "save", "scan", "snapshot", "sparse_batch", "take_while", "unique"))
"""What datasets gained between TensorFlow 1.15 and 2.15."""
RESULTS = {"tf.data.experimental.Counter": DATASET, "tf.get_default_graph": "tf.Graph",
           "tf.get_default_session": "tf.Session"}
"""What some functions give back; classes give their instances, methods of datasets a dataset unless below."""
NO_DATASETS = {"make_initializable_iterator": ANY, "make_one_shot_iterator": ANY, "options": "tf.data.Options",
               "reduce": ANY}
ELEMENTS = {"tf.global_variables": "tf.Variable", "tf.trainable_variables": "tf.Variable"}
"""What some functions give back rows of."""

_WITHIN = {("tf", "compat"): "tf.compat", ("tf.compat", "v1"): "tf"}
"""The list is of `tensorflow.compat.v1`, and so is, in 1.15, the package itself."""
_LINE = re.compile(r"(?P<name>[\w.]+)(?P<parameters>\(.*\))?(?: (?P<sign>[<:=]) (?P<rest>.+))?")


class Symbol(NamedTuple):
    """A line of the list, as `collect.py` explains them."""

    parameters: Optional[str] = None
    sign: str = ""
    rest: str = ""


class Known(NamedTuple):
    """What an expression stands for: a symbol of the list, or an instance of one that is a class."""

    name: str
    instance: bool = False


UNKNOWN = Known(ANY)


class Symbols:
    """What TensorFlow 1.15 offers."""

    def __init__(self, text: str) -> None:
        self._lines: Dict[str, Symbol] = {}
        self._modules: Set[str] = set()
        for line in text.splitlines():
            found = None if line.startswith("#") else _LINE.fullmatch(line)
            if found:
                self._lines[found["name"]] = Symbol(found["parameters"], found["sign"] or "", found["rest"] or "")
                parts = found["name"].split(".")
                self._modules.update(".".join(parts[:count]) for count in range(1, len(parts)))
        self.dataset_methods = LATER_DATASET_METHODS | {
            name.rsplit(".", 1)[1] for name, symbol in self._lines.items()
            if name.startswith(f"{DATASET}.") and symbol.parameters is not None}

    def member(self, owner: str, part: str) -> Optional[str]:
        """The full name of what stands below `owner`; None where 1.15 has no such thing."""
        if owner == ANY or part.startswith("_"):
            return ANY
        if (owner, part) in _WITHIN:
            return _WITHIN[owner, part]
        owner = self._canonical(owner)
        symbol, full = self._lines.get(owner, Symbol()), f"{owner}.{part}"
        if full in self._lines or full in self._modules:
            return self._canonical(full)
        above = symbol.rest.split(", ") if symbol.sign else []
        found = [each for each in (self.member(name, part) for name in above if name != "object") if each is not None]
        if found or symbol.sign == ":":
            return found[0] if found else None
        # A function's or a plain value's attributes are not listed; those of classes, messages and modules are.
        return None if self.is_class(owner) or owner in self._modules or owner == "tf.compat" else ANY

    def is_class(self, name: str) -> bool:
        """Whether a name is that of a class."""
        return self._lines.get(self._canonical(name), Symbol()).sign == "<"

    def is_value(self, name: str) -> bool:
        """Whether a name is that of a value whose class is listed."""
        return self._lines.get(name, Symbol()).sign == ":"

    def signature(self, known: Known) -> Optional[inspect.Signature]:
        """What may be called with; None where that is not known."""
        written = self._lines.get(known.name, Symbol()).parameters
        if written is None or (known.instance and self.is_class(known.name)):
            return None
        parameters = list(_parameters(written))
        if known.instance and parameters and parameters[0].name == "self":
            parameters = parameters[1:]
        return inspect.Signature(parameters)

    def _canonical(self, name: str) -> str:
        symbol = self._lines.get(name, Symbol())
        return symbol.rest if symbol.sign == "=" else name


def _parameters(written: str) -> Iterator[inspect.Parameter]:
    """The parameters that stand in brackets, as Python writes them."""
    arguments = ast.parse(f"def f{written}: pass").body[0].args
    optional = len(arguments.args) - len(arguments.defaults)
    for index, argument in enumerate(arguments.args):
        yield inspect.Parameter(argument.arg, inspect.Parameter.POSITIONAL_OR_KEYWORD,
                                default=None if index >= optional else inspect.Parameter.empty)
    if arguments.vararg:
        yield inspect.Parameter(arguments.vararg.arg, inspect.Parameter.VAR_POSITIONAL)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        yield inspect.Parameter(argument.arg, inspect.Parameter.KEYWORD_ONLY,
                                default=inspect.Parameter.empty if default is None else None)
    if arguments.kwarg:
        yield inspect.Parameter(arguments.kwarg.arg, inspect.Parameter.VAR_KEYWORD)


class Offence(NamedTuple):
    """What 1.15 lacks, and where it is used."""

    line: int
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.line}: {self.name}: {self.why}"


def offences(text: str, symbols: Symbols) -> List[Offence]:
    """Everything in a source file that TensorFlow 1.15 lacks."""
    reader = _Reader(ast.parse(text), symbols)
    return sorted(set(reader.found))


class _Reader(ast.NodeVisitor):
    """Walks a file in its order, knowing what its names stand for."""

    def __init__(self, tree: ast.Module, symbols: Symbols) -> None:
        self.found: List[Offence] = []
        self._symbols = symbols
        self._scopes: List[Dict[str, Known]] = [{}]
        self._bases: List[Known] = []
        self._foreign: Set[str] = set()
        """What is imported from other packages than the project's."""
        self._results: Dict[str, Known] = {}
        """What functions of this file say that they give back."""
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._import(node)
        imported = list(self.found)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                self._results[node.name] = self._annotated(node.returns)
        self._feeds = any(self._known(node).name == "tf.data" for node in ast.walk(tree)
                          if isinstance(node, ast.Attribute))
        self.found = imported
        self.visit(tree)

    # Names -------------------------------------------------------------------------------------------------------

    def _import(self, node: Any) -> None:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
            bound = alias.asname or alias.name.split(".")[0]
            if whole.split(".")[0] != "tensorflow" or getattr(node, "level", 0):
                if not getattr(node, "level", 0) and whole.split(".")[0] not in OWN:
                    self._foreign.add(bound)
                self._scopes[0].pop(bound, None)
                continue
            known = self._below(Known("tf"), whole.split(".")[1:], node)
            plain = alias.asname is None and isinstance(node, ast.Import)
            self._scopes[0][bound] = Known("tf") if plain else known

    def _below(self, owner: Known, parts: List[str], node: ast.AST) -> Known:
        """What stands at the end of a row of attributes; an offence where it breaks off."""
        if not parts:
            return owner
        found = self._symbols.member(owner.name, parts[0])
        if found is None:
            self.found.append(Offence(node.lineno, ".".join([owner.name, *parts]), "TensorFlow 1.15 has none"))
            return UNKNOWN
        if found == ANY:
            return UNKNOWN
        return self._below(Known(found, owner.instance or self._symbols.is_value(found)), parts[1:], node)

    def _known(self, node: ast.AST) -> Known:
        """What an expression stands for."""
        if isinstance(node, ast.Name):
            return self._variable(node.id)
        if isinstance(node, ast.Attribute):
            own = self._variable(f"self.{node.attr}") if _is_self(node.value) else UNKNOWN
            return own if own is not UNKNOWN else self._below(self._known(node.value), [node.attr], node)
        return self._result(node) if isinstance(node, ast.Call) else UNKNOWN

    def _result(self, call: ast.Call) -> Known:
        function = call.func
        if isinstance(function, ast.Name) and function.id == "super" and self._bases:
            return self._bases[-1]
        called = self._known(function)
        last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if called is UNKNOWN and last in self._results:
            return self._results[last]
        if called.name in RESULTS:
            return Known(RESULTS[called.name], True)
        if last == "as_default":
            return self._known(function.value)
        if called.name.startswith(f"{DATASET}."):
            return Known(NO_DATASETS.get(last, DATASET), True)
        return Known(called.name, True) if self._symbols.is_class(called.name) and not called.instance else UNKNOWN

    def _variable(self, name: str) -> Known:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), UNKNOWN)

    def _annotated(self, node: Optional[ast.AST]) -> Known:
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Optional":
            node = node.slice if isinstance(node.slice, ast.Attribute) else getattr(node.slice, "value", None)
        known = self._known(node) if isinstance(node, (ast.Name, ast.Attribute)) else UNKNOWN
        return Known(known.name, True) if self._symbols.is_class(known.name) else UNKNOWN

    def _bind(self, target: ast.AST, known: Known) -> None:
        if isinstance(target, ast.Name):
            self._scopes[-1][target.id] = known
        elif isinstance(target, ast.Attribute) and _is_self(target.value):
            self._scopes[0][f"self.{target.attr}"] = known
        else:
            for part in getattr(target, "elts", ()):
                self._bind(getattr(part, "value", part), UNKNOWN)

    # Statements --------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        more = [each.arg for each in (node.args.vararg, node.args.kwarg) if each]
        arguments = {each.arg: self._annotated(each.annotation) for each in [*node.args.args, *node.args.kwonlyargs]}
        self._within({**arguments, **dict.fromkeys(more, UNKNOWN)}, node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._within({each.arg: UNKNOWN for each in node.args.args}, node)

    def _within(self, names: Dict[str, Known], node: ast.AST) -> None:
        self._scopes.append(names)
        self.generic_visit(node)
        self._scopes.pop()

    def visit_comprehensions(self, node: Any) -> None:
        self._scopes.append({})
        for part in node.generators:
            self._bind_element(part)
        self.generic_visit(node)
        self._scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehensions  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        only = self._known(node.bases[0]) if len(node.bases) == 1 else UNKNOWN
        self._bases.append(only if only is UNKNOWN else Known(only.name, True))
        self.generic_visit(node)
        self._bases.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._bind(target, self._known(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self._bind(node.target, self._annotated(node.annotation))

    def visit_For(self, node: ast.For) -> None:
        self._bind_element(node)
        self.generic_visit(node)

    def _bind_element(self, node: Any) -> None:
        row = self._known(node.iter.func).name if isinstance(node.iter, ast.Call) else ANY
        self._bind(node.target, Known(ELEMENTS[row], True) if row in ELEMENTS else UNKNOWN)

    def visit_withitem(self, node: ast.withitem) -> None:
        self.generic_visit(node)
        if node.optional_vars is not None:
            self._bind(node.optional_vars, self._known(node.context_expr))

    # What is looked at -------------------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._known(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function, given = node.func, node.args
        if isinstance(function, ast.Name) and function.id in ("getattr", "hasattr") and len(given) > 1:
            named = getattr(given[1], "value", getattr(given[1], "s", None))
            if isinstance(named, str):
                self._below(self._known(given[0]), [named], node)
        elif _last(function) == "partial" and given:
            self._compare(self._known(given[0]), given[1:], node, partly=True)
        else:
            self._compare(self._called(node), given, node)
        self.generic_visit(node)

    def _called(self, node: ast.Call) -> Known:
        """What is called; where that is not known, by its name a method of a dataset, in a file that has some."""
        called, function = self._known(node.func), node.func
        if called is not UNKNOWN or not self._feeds or not isinstance(function, ast.Attribute):
            return called
        if function.attr not in self._symbols.dataset_methods or _root(function) in self._foreign:
            return called
        return self._below(Known(DATASET, True), [function.attr], node)

    def _compare(self, called: Known, given: List[Any], node: ast.Call, partly: bool = False) -> None:
        """An offence where 1.15 would refuse the arguments; `*` and `**` may hold any others."""
        signature = self._symbols.signature(called)
        if signature is None:
            return
        plain = [each for each in given if not isinstance(each, ast.Starred)]
        named = {each.arg: each for each in node.keywords if each.arg}
        partly = partly or len(plain) < len(given) or len(named) < len(node.keywords)
        try:
            (signature.bind_partial if partly else signature.bind)(*plain, **named)
        except TypeError as error:
            self.found.append(Offence(node.lineno, called.name, f"in TensorFlow 1.15: {error}"))


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _last(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def _root(node: ast.AST) -> str:
    """The name that a row of attributes and calls begins with."""
    while isinstance(node, (ast.Attribute, ast.Call)):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return getattr(node, "id", "")
