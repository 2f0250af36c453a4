"""The ``filter`` of a list: AIP-160 over a few fields, read into a small tree.

OR binds tighter than AND; terms side by side are AND; NOT or ``-`` stands before a term; a term is FIELD OPERATOR
VALUE. :func:`parse` gives the tree, :func:`predicate` runs it; a store may compile it to SQL. In the tree ``:`` is
already ``=`` or :class:`Present`.
"""

from __future__ import annotations

import enum
import functools
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument
from jupyter_sessions.model.resources import Message, Operation, OperationType, Session, SessionTemplate, camel
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import parse_time

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

MAX_LENGTH = 4096
MAX_LEVELS = 50


@dataclass(frozen=True)
class Pattern:
    """A string with ``*`` at its begin (``before``), its end (``after``) or both: anything may stand there."""

    text: str
    before: bool
    after: bool

    def matches(self, value: str) -> bool:
        """Whether a string fits."""
        if self.before and self.after:
            return self.text in value
        return value.endswith(self.text) if self.before else value.startswith(self.text)


@dataclass(frozen=True)
class Compare:
    """``field op value``; op is one of ``= != < <= > >=``.

    ``field`` is snake_case; ``key`` is the label's key where the field is ``labels``. ``value`` is a str or Pattern
    (strings and labels; a Pattern with ``=`` and ``!=`` only), nanoseconds (times), a bool, or an enum's member
    (``=`` and ``!=`` only). ``!=`` is the complement of ``=``: it holds for an absent label, which nothing else does.
    """

    field: str
    op: str
    value: str | int | Pattern
    key: str = ""


@dataclass(frozen=True)
class Present:
    """The field is set; for ``labels`` the label ``key``, or any label where ``key`` is empty."""

    field: str
    key: str = ""


@dataclass(frozen=True)
class Not:
    """The complement of a term."""

    term: Expr


@dataclass(frozen=True)
class And:
    """All of two or more terms."""

    terms: tuple[Expr, ...]


@dataclass(frozen=True)
class Or:
    """Any of two or more terms."""

    terms: tuple[Expr, ...]


Expr = Compare | Present | Not | And | Or


@dataclass(frozen=True)
class Field:
    """A field that may stand in a filter: how its values are read (``kind``), and got from a resource."""

    kind: str
    get: Callable[[Any], Any]
    enum: type[enum.IntEnum] | None = None


def _id(resource: Session | SessionTemplate) -> str:
    return resource.name.rpartition("/")[2]


FIELDS: Mapping[type[Message], Mapping[str, Field]] = {
    Session: {
        "session_id": Field("string", _id),
        "session_uuid": Field("string", operator.attrgetter("uuid")),
        "state": Field("enum", operator.attrgetter("state"), State),
        "create_time": Field("time", operator.attrgetter("create_time")),
        "labels": Field("labels", operator.attrgetter("labels")),
    },
    SessionTemplate: {
        "template_id": Field("string", _id),
        "uuid": Field("string", operator.attrgetter("uuid")),
        "creator": Field("string", operator.attrgetter("creator")),
        "create_time": Field("time", operator.attrgetter("create_time")),
        "update_time": Field("time", operator.attrgetter("update_time")),
        "labels": Field("labels", operator.attrgetter("labels")),
    },
    Operation: {
        "done": Field("bool", operator.attrgetter("done")),
        "operation_type": Field("enum", operator.attrgetter("metadata.operation_type"), OperationType),
        "session": Field("string", operator.attrgetter("metadata.session")),
        "session_uuid": Field("string", operator.attrgetter("metadata.session_uuid")),
        "create_time": Field("time", operator.attrgetter("metadata.create_time")),
        "labels": Field("labels", operator.attrgetter("metadata.labels")),
    },
}
"""The fields of each kind's filter, by their snake_case names."""

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_GRAMMAR = r"""
?expression: sequence (_AND sequence)*
?sequence: factor factor*
?factor: term (_OR term)*
?term: simple
     | (_NOT | _MINUS) simple -> negation
?simple: restriction
       | _OPEN expression _CLOSE
restriction: FIELD OPERATOR (VALUE | STRING)

_AND.2: /(?:AND|and)(?![\w.\-])/
_OR.2: /(?:OR|or)(?![\w.\-])/
_NOT.2: /NOT(?![\w.\-])/
_MINUS: "-"
_OPEN: "("
_CLOSE: ")"
OPERATOR: /[<>!]=|[=<>:]/
STRING: /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/s
FIELD: /(?!(?:AND|and|OR|or|NOT)(?![\w.\-]))[A-Za-z_][\w\-]*(?:\.(?:[\w\-]+|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))*/s
VALUE: /[^\s()"'\\=<>!,:][^\s()"'\\=<>!,]*/
%ignore /\s+/
"""
_BRACKETS = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[()]""", re.DOTALL)
_FORM = "a term is FIELD OPERATOR VALUE, as state = ACTIVE"


@functools.cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(_GRAMMAR, start="expression", parser="lalr", lexer="contextual")


def _fault(index: int, rule: str) -> InvalidArgument:
    return InvalidArgument([FieldViolation("filter", f"column {index + 1}: {rule}")])


def parse(text: str, kind: type[Message]) -> Expr | None:
    """Read a filter for a list of ``kind`` (Session, SessionTemplate or Operation); an empty one is None.

    Raises InvalidArgument whose message says ``column N``, from 1.
    """
    if len(text) > MAX_LENGTH:
        raise _fault(MAX_LENGTH, f"a filter has at most {MAX_LENGTH} characters, this one {len(text)}; shorten it")
    if not text.strip():
        return None
    _check_levels(text)
    from lark.exceptions import UnexpectedInput

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax(text, error) from None
    return _build(tree, FIELDS[kind])


def _check_levels(text: str) -> None:
    level = 0
    for found in _BRACKETS.finditer(text):
        level += {"(": 1, ")": -1}.get(found[0], 0)
        if level > MAX_LEVELS:
            raise _fault(found.start(), f"parentheses nest more than {MAX_LEVELS} levels; unfold some")


def _syntax(text: str, error: Any) -> InvalidArgument:
    """Say where the parser stopped and what it would have taken there."""
    token = getattr(error, "token", None)
    ended = token is not None and token.type == "$END"
    index = len(text) if ended or error.pos_in_stream is None else error.pos_in_stream
    taken = set(getattr(error, "expected", None) or getattr(error, "allowed", None) or ())
    given = "the end" if index >= len(text) else repr(text[index])
    if "OPERATOR" in taken:
        rule = f"needs one of = != < <= > >= : after the field; {_FORM}"
    elif "VALUE" in taken:
        rule = "needs a value after the operator, in quotes if it holds spaces or signs"
    elif "_AND" in taken:
        rule = "needs AND, OR, another term or the end"
    elif not taken or taken == {"_CLOSE"}:
        rule = "needs a ')' for each '(' and the other way round"
    else:
        rule = f"needs a term, NOT or '('; {_FORM}"
    return _fault(index, f"{rule}, not {given}")


def _build(tree: Tree[Token], fields: Mapping[str, Field]) -> Expr:
    children: list[Any] = tree.children
    if tree.data == "restriction":
        return _term(children[0], children[1], children[2], fields)
    terms = [_build(child, fields) for child in children]
    if tree.data == "negation":
        return Not(terms[0])
    whole: type[And] | type[Or] = Or if tree.data == "factor" else And
    flat: list[Expr] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, whole) else [term])
    return whole(tuple(flat))


def _start(token: Token) -> int:
    return token.start_pos or 0


def _unquote(text: str) -> list[tuple[str, bool]]:
    """Give a value's characters, each with whether it was escaped."""
    if text[:1] not in ("'", '"'):
        return [(char, False) for char in text]
    return [(found[0][-1], len(found[0]) == 2) for found in re.finditer(r"\\.|.", text[1:-1], re.DOTALL)]


def _plain(text: str) -> str:
    return "".join(char for char, _ in _unquote(text))


def _string(text: str) -> str | Pattern:
    chars = _unquote(text)
    before = bool(chars) and chars[0] == ("*", False)
    after = len(chars) > before and chars[-1] == ("*", False)
    plain = "".join(char for char, _ in chars[before : len(chars) - after])
    return Pattern(plain, before, after) if before or after else plain


def _anything(value: Token) -> bool:
    given = _string(value)
    return isinstance(given, Pattern) and not given.text


def _term(name: Token, op: Token, value: Token, fields: Mapping[str, Field]) -> Expr:
    path, _, rest = name.partition(".")
    known = {spelling: field for field in fields for spelling in (field, camel(field))}
    field = known.get(path)
    if field is None or (rest and fields[field].kind != "labels"):
        raise _fault(_start(name), f"{name!s} is not a field; the fields are {', '.join(fields)}")
    if fields[field].kind == "labels":
        return _label(field, _plain(rest) if rest else "", name, op, value)
    if op == ":" and fields[field].kind != "enum":
        if _anything(value):
            return Present(field)
        op = op.update(value="=")
    return _compare(field, fields[field], op, value)


def _label(field: str, key: str, name: Token, op: Token, value: Token) -> Expr:
    given = _string(value)
    if not key:
        if op != ":":
            raise _fault(_start(name), "labels needs a key: labels.KEY = VALUE, or labels:KEY for presence")
        if _anything(value):
            return Present(field)
        if isinstance(given, Pattern) or not given:
            raise _fault(_start(value), "a label's key takes no wildcard and is not empty")
        return Present(field, given)
    if op == ":" and _anything(value):
        return Present(field, key)
    _check_wildcard(op, given)
    return Compare(field, "=" if op == ":" else str(op), given, key)


def _check_wildcard(op: Token, value: str | Pattern) -> None:
    if isinstance(value, Pattern) and op not in ("=", "!=", ":"):
        raise _fault(_start(op), f"{op!s} takes no wildcard; use = or !=, or escape the * in quotes")


def _compare(field: str, of: Field, op: Token, value: Token) -> Expr:
    plain = _plain(value)
    if of.kind == "string":
        given = _string(value)
        _check_wildcard(op, given)
        return Compare(field, str(op), given)
    if of.kind == "time":
        try:
            return Compare(field, str(op), parse_time(plain))
        except ValueError as error:
            raise _fault(_start(value), f"{field} {error}") from None
    if op not in ("=", "!="):
        raise _fault(_start(op), f"{field} takes = and != only, not {op!s}")
    if of.enum is None:
        if plain not in ("true", "false"):
            raise _fault(_start(value), f"{field} is true or false")
        return Compare(field, str(op), plain == "true")
    if plain not in of.enum.__members__:
        raise _fault(_start(value), f"{field} is one of {', '.join(of.enum.__members__)}")
    return Compare(field, str(op), of.enum[plain])


def predicate(expr: Expr, kind: type[Message]) -> Callable[[Any], bool]:
    """Give the function that says whether a resource of ``kind`` fits."""
    if isinstance(expr, Not):
        inner = predicate(expr.term, kind)
        return lambda resource: not inner(resource)
    if isinstance(expr, And | Or):
        parts = [predicate(term, kind) for term in expr.terms]
        whole = all if isinstance(expr, And) else any
        return lambda resource: whole(part(resource) for part in parts)
    get = FIELDS[kind][expr.field].get
    if isinstance(expr, Present):
        key = expr.key
        return lambda resource: key in get(resource) if key else bool(get(resource))
    return _comparison(expr, get)


def _comparison(expr: Compare, get: Callable[[Any], Any]) -> Callable[[Any], bool]:
    value, op = expr.value, expr.op
    if isinstance(value, Pattern):
        matches = value.matches
        test: Callable[[Any], bool] = matches if op == "=" else lambda found: not matches(found)
    else:
        compare = _OPERATORS[op]
        test = lambda found: compare(found, value)  # noqa: E731 - one of two bodies of the same name
    if not expr.key:
        return lambda resource: test(get(resource))
    key, absent = expr.key, op == "!="
    return lambda resource: test(labels[key]) if key in (labels := get(resource)) else absent
