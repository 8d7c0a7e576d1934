"""How an activity gets its arguments from the context."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from actors.context import Context
from actors.ports import Attempt
from actors.values import encode_value
from flowmgr.errors import ActivityDeclarationError

SHOWN_KEYS: Final = 10
"""Keys of the context that an error names."""


class MissingParameterError(TypeError):
    """A parameter without a default has no value in the context."""


class InvalidParameterError(TypeError):
    """The context's value for a parameter has not the type that the parameter is annotated with."""


class InvalidArgumentsError(TypeError):
    """The arguments that a flow gives to a task have come to something that is no object."""


class UnresolvedAnnotationError(ActivityDeclarationError):
    """An annotation names something that does not exist, or not yet."""


class ValueParameter(msgspec.Struct, frozen=True):
    """A parameter that takes the context's value of its name.

    Attributes:
        name: the parameter's name, and the key in the context.
        type: what the value is converted to.
        default: the default; `inspect.Parameter.empty` if there is none.
    """

    name: str
    type: Any
    default: Any

    @property
    def is_required(self) -> bool:
        """Whether the context has to have a value."""
        return self.default is inspect.Parameter.empty


class Binding:
    """Finds the arguments of one activity; prepared once, used by every attempt.

    Attributes:
        is_context_only: whether the activity has one parameter, to be given by position, and it
            takes the `Context` as it is: the common case, in which there is nothing to bind.
        values: the parameters that take one value of the context each.
        whole_type: what the whole context is converted to, if the parameter ``context`` is
            annotated with a type of the user's own; None otherwise.
        unnamed: the parameter that takes the context for want of another one, and neither its name
            nor its annotation says so; None if there is none.

    Raises:
        ActivityDeclarationError: an annotation cannot be converted to;
            `UnresolvedAnnotationError`: it cannot be found.
    """

    __slots__ = ("_makers", "is_context_only", "unnamed", "values", "whole_type")

    def __init__(self, activity: str, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        self.values: list[ValueParameter] = []
        self.whole_type: Any = None
        self.unnamed: str | None = None
        self._makers: dict[str, Callable[[Context], Any]] = {}
        for parameter in parameters:
            if _takes_context(parameter, parameters):
                self._add_context(activity, function, parameter)
            else:
                self._add_value(activity, function, parameter)
        self.is_context_only = (
            list(self._makers.values()) == [_as_it_is]
            and parameters[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        )

    def bind_for(self, attempt: Attempt) -> dict[str, Any]:
        """Return the arguments for an attempt; see `bind`.

        Raises:
            InvalidArgumentsError: the arguments that the task gives are no object.
        """
        return self.bind(given_context(attempt), given_names(attempt))

    def bind(self, context: Context, given: Collection[str] = ()) -> dict[str, Any]:
        """Return the arguments by name; parameters that are left to their default are not there.

        Args:
            context: what the activity gets, with the arguments that the task gives over it.
            given: the names of those arguments.

        Raises:
            MissingParameterError: a value is not in the context, and there is no default.
            InvalidParameterError: a value has another type than the parameter.
        """
        if self.unnamed is not None and self.unnamed in given:
            return {self.unnamed: context[self.unnamed]}
        arguments = {}
        for name, make in self._makers.items():
            value = make(context)
            if value is not msgspec.UNSET:
                arguments[name] = value
        return arguments

    def _add_context(
        self, activity: str, function: Callable[..., Any], parameter: inspect.Parameter
    ) -> None:
        kind = _context_type(activity, function, parameter)
        if parameter.name != "context":
            self.unnamed = parameter.name
        if kind is Context:
            self._makers[parameter.name] = _as_it_is
        elif kind is dict:
            self._makers[parameter.name] = dict
        else:
            self.whole_type = kind
            self._makers[parameter.name] = _WholeMaker(activity, parameter.name, kind)

    def _add_value(
        self, activity: str, function: Callable[..., Any], parameter: inspect.Parameter
    ) -> None:
        kind = resolve(activity, function, parameter.name, parameter.annotation)
        if kind is Context:
            self._makers[parameter.name] = _as_it_is
            return
        value = ValueParameter(parameter.name, kind, parameter.default)
        self.values.append(value)
        self._makers[parameter.name] = _ValueMaker(activity, value)


def given_context(attempt: Attempt) -> Context:
    """Return the context that an activity gets: the execution's, with the arguments put over it.

    Raises:
        InvalidArgumentsError: the arguments are no object.
    """
    arguments = attempt.arguments
    if arguments is msgspec.UNSET:
        return attempt.context
    if not isinstance(arguments, Mapping):
        msg = (
            f"the arguments of task '{attempt.started.task}' come to a value of type "
            f"{type(arguments).__name__}, not to an object: arguments are found by their names"
        )
        raise InvalidArgumentsError(msg)
    encoded = {key: msgspec.Raw(encode_value(value)) for key, value in arguments.items()}
    # A context of its own: what is only this task's must not be in the log that others share.
    return Context.of({**attempt.context.raw(), **encoded})


def given_names(attempt: Attempt) -> Collection[str]:
    """Return the names of the arguments that a task gives, which `given_context` has looked at."""
    given: Mapping[str, Any] = {} if attempt.arguments is msgspec.UNSET else attempt.arguments
    return given.keys()


def resolve(activity: str, function: Callable[..., Any], name: str, annotation: Any) -> Any:
    """Return the type that *annotation* stands for; `Any` if there is none.

    Each annotation is resolved by itself, so that one which is of no use while running (imported
    for type checkers only) does no harm to the others.

    Raises:
        UnresolvedAnnotationError: it names something that cannot be found.
    """
    if annotation is inspect.Parameter.empty:
        return Any
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        hints = typing.get_type_hints(holder, globalns=_globals(function), include_extras=True)
    except Exception as error:
        msg = (
            f"Activity '{activity}': the annotation {annotation!r} of '{name}' cannot be resolved "
            f"({error}). Import or define what it names at the level of the module, and not only "
            "for type checkers."
        )
        raise UnresolvedAnnotationError(msg) from error
    return hints[name]


def any_value_schema(kind: type) -> dict[str, Any]:
    """Return a schema for ``object``, which stands for any value; the hook of `msgspec.json`.

    Raises:
        NotImplementedError: *kind* is another type that msgspec cannot convert to.
    """
    if kind is object:
        return {"description": "any value"}
    raise NotImplementedError


class _ValueMaker:
    """Takes one value from the context and converts it, straight from the JSON it is kept in."""

    __slots__ = ("_activity", "_decode", "_is_required", "_name", "_type_name")

    def __init__(self, activity: str, value: ValueParameter) -> None:
        self._activity = activity
        self._name = value.name
        self._type_name = inspect.formatannotation(value.type)
        self._decode = _decoder(activity, value.name, value.type)
        self._is_required = value.is_required

    def __call__(self, context: Context) -> Any:
        data = context.get_raw(self._name)
        if data is not None:
            return _convert(self._decode, data, self._activity, self._name, self._type_name)
        if self._is_required:
            msg = (
                f"activity '{self._activity}' needs '{self._name}', which is not in the context "
                f"(which has: {_keys(context)}). Start the execution with it, or give the "
                "parameter a default."
            )
            raise MissingParameterError(msg)
        return msgspec.UNSET


class _WholeMaker:
    """Converts the whole context to a type of the user's own."""

    __slots__ = ("_activity", "_decode", "_name", "_type_name")

    def __init__(self, activity: str, name: str, kind: Any) -> None:
        self._activity = activity
        self._name = name
        self._type_name = inspect.formatannotation(kind)
        self._decode = _decoder(activity, name, kind)

    def __call__(self, context: Context) -> Any:
        data = context.to_json()
        return _convert(self._decode, data, self._activity, self._name, self._type_name)


def _as_it_is(context: Context) -> Context:
    return context


def _takes_context(parameter: inspect.Parameter, parameters: list[inspect.Parameter]) -> bool:
    if parameter.name == "context":
        return True
    return (
        len(parameters) == 1
        and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        and parameter.annotation is inspect.Parameter.empty
        and parameter.default is inspect.Parameter.empty
    )


def _context_type(activity: str, function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return Context, dict, or the type of the user's own that the context is converted to."""
    try:
        kind = resolve(activity, function, parameter.name, parameter.annotation)
    except UnresolvedAnnotationError:
        if "Context" in str(parameter.annotation):
            return Context  # imported for type checkers only, which is fine: the name says it all
        raise
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is dict and arguments in ((), (str, Any), (str, object)):
        return dict
    return Context if origin in (Any, object, Context, Mapping) else kind


def _decoder(activity: str, name: str, kind: Any) -> Callable[[bytes | msgspec.Raw], Any]:
    try:
        # A decoder can be made for types that it then cannot decode; a schema cannot.
        msgspec.json.schema(kind, schema_hook=any_value_schema)
        return msgspec.json.Decoder(kind).decode
    except NameError as error:
        msg = (
            f"Activity '{activity}': the type {inspect.formatannotation(kind)} of '{name}' has "
            f"fields whose types cannot be resolved ({error}). Define what they name at the level "
            "of the module."
        )
        raise UnresolvedAnnotationError(msg) from error
    except Exception as error:
        reason = str(error).splitlines()[-1] if str(error) else type(error).__name__
        msg = (
            f"Activity '{activity}': no JSON value can be converted to the type "
            f"{inspect.formatannotation(kind)} of '{name}' ({reason}). Use plain types, structs, "
            "dataclasses, enums or the like; or take the whole context and convert it yourself."
        )
        raise ActivityDeclarationError(msg) from error


def _convert(
    decode: Callable[[bytes | msgspec.Raw], Any],
    data: bytes | msgspec.Raw,
    activity: str,
    name: str,
    type_name: str,
) -> Any:
    try:
        return decode(data)
    except msgspec.MsgspecError as error:
        msg = f"activity '{activity}' needs '{name}' to be {type_name}: {error}"
        raise InvalidParameterError(msg) from error


def _keys(context: Context) -> str:
    keys = list(context)
    shown = ", ".join(repr(key) for key in keys[:SHOWN_KEYS])
    more = len(keys) - SHOWN_KEYS
    return f"{shown} and {more} more" if more > 0 else shown or "nothing"


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names that annotations of *function* are looked up in."""
    plain: Any = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    if not inspect.isroutine(plain):
        plain = type(plain).__call__
    plain = inspect.unwrap(plain)
    found: dict[str, Any] = getattr(plain, "__globals__", {})
    return found
