"""What an activity is: a function with a name, and a way in which it is run."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, get_args, overload

import msgspec

from flowmgr.activities.binding import (
    Binding,
    UnresolvedAnnotationError,
    any_value_schema,
    resolve,
)
from flowmgr.errors import ActivityDeclarationError

P = ParamSpec("P")
R = TypeVar("R")

Isolation = Literal["task", "thread", "process"]
"""Where an activity runs.

``task``: in the event loop, for async functions. ``thread``: in a worker thread, for functions that
block. ``process``: in a process of its own, which can be killed.
"""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_DEFINITIONS: Final = "#/$defs/{name}"


class Activity(Generic[P, R]):
    """A function that tasks can run. It is called just as the function is.

    Attributes:
        name: what tasks call it.
        function: the function.
        isolation: where it runs.
        description: the first paragraph of its docstring; empty if there is none.
    """

    def __init__(
        self, function: Callable[P, R], name: str | None = None, isolation: Isolation | None = None
    ) -> None:
        if not _is_function(function):
            msg = f"{function!r} cannot be an activity: it is not a function. Decorate a function."
            raise ActivityDeclarationError(msg)
        self.name: Final = _checked_name(function, name)
        _check_parameters(self.name, function)
        self.function: Final = function
        self.isolation: Final = _checked_isolation(self.name, function, isolation)
        self.description: Final = _first_paragraph(function)
        functools.update_wrapper(self, function, updated=())
        # An annotation may name something further down in the module: the catalogue asks again.
        with contextlib.suppress(UnresolvedAnnotationError):
            _ = self.binding

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as if it were no activity."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<activity {self.name!r}: {self.place}, isolation={self.isolation!r}>"

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return _is_async(self.function)

    @property
    def place(self) -> str:
        """Where the function is defined, as "module.qualname"."""
        return _place(self.function)

    @functools.cached_property
    def binding(self) -> Binding:
        """How its arguments are found in the context.

        Raises:
            ActivityDeclarationError: an annotation cannot be resolved or converted to.
        """
        return Binding(self.name, self.function)

    @functools.cached_property
    def parameters_schema(self) -> dict[str, Any] | None:
        """JSON Schema of what it reads from the context; None if it takes the context as it is."""
        try:
            binding = self.binding
        except ActivityDeclarationError:
            return None
        if binding.whole_type is not None:
            return _schema(binding.whole_type)
        if not binding.values:
            return None
        schemas, definitions = _schemas([value.type for value in binding.values])
        for value, schema in zip(binding.values, schemas, strict=True):
            if not value.is_required and "default" not in schema:
                schema.update(_default(value.default))
        properties = {
            value.name: schema for value, schema in zip(binding.values, schemas, strict=True)
        }
        required = [value.name for value in binding.values if value.is_required]
        found: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
        return found | ({"$defs": definitions} if definitions else {})

    @functools.cached_property
    def result_schema(self) -> dict[str, Any] | None:
        """JSON Schema of what it returns; None if that is not annotated, {} if it has no schema."""
        try:
            annotation = inspect.signature(self.function).return_annotation
            if annotation is inspect.Signature.empty:
                return None
            return _schema(resolve(self.name, self.function, "return", annotation))
        except ActivityDeclarationError:
            return {}


@overload
def activity(
    function: Callable[P, R], /, *, name: str | None = None, isolation: Isolation | None = None
) -> Activity[P, R]: ...
@overload
def activity(
    name: str, /, *, isolation: Isolation | None = None
) -> Callable[[Callable[P, R]], Activity[P, R]]: ...
@overload
def activity(
    *, name: str | None = None, isolation: Isolation | None = None
) -> Callable[[Callable[P, R]], Activity[P, R]]: ...
def activity(
    target: Any = None, /, *, name: str | None = None, isolation: Isolation | None = None
) -> Any:
    """Declare a function to be an activity, which tasks can run.

    Use it as ``@activity``, as ``@activity("charge_card")`` or with keywords.

    Args:
        target: the function, or the activity's name.
        name: the activity's name; the function's if there is none.
        isolation: where it runs: "task" (async functions, the default), "thread" (other functions,
            the default) or "process".

    Raises:
        ActivityDeclarationError: the function cannot be an activity; the message says why.
    """
    if isinstance(target, str) and name is None:
        target, name = None, target
    if target is None:
        return lambda function: activity(function, name=name, isolation=isolation)
    if isinstance(target, Activity):
        target = target.function  # one function may be several activities
    return Activity(target, name, isolation)


def _is_function(target: Any) -> bool:
    return callable(target) and not inspect.isclass(target)


def _checked_name(function: Callable[..., Any], name: str | None) -> str:
    if name is None:
        name = getattr(function, "__name__", None)
        if name is None or name == "<lambda>":
            msg = f'{function!r} has no name to call the activity by. Use @activity("a_name").'
            raise ActivityDeclarationError(msg)
    if not isinstance(name, str) or NAME.fullmatch(name) is None or ".." in name:
        msg = (
            f"{name!r} cannot be the name of an activity: a name begins with a letter or digit and "
            "has at most 128 of A-Z a-z 0-9 . _ -, without '..'. "
            'Use @activity("a_name") to give another one.'
        )
        raise ActivityDeclarationError(msg)
    return name


def _check_parameters(name: str, function: Callable[..., Any]) -> None:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        msg = f"Activity '{name}': its parameters cannot be read ({error}). Wrap it in a function."
        raise ActivityDeclarationError(msg) from error
    if inspect.isgeneratorfunction(_called(function)) or inspect.isasyncgenfunction(
        _called(function)
    ):
        msg = (
            f"Activity '{name}' is a generator: an activity has one result. Return a list instead "
            "of yielding its items."
        )
        raise ActivityDeclarationError(msg)
    for parameter in parameters:
        reason = _UNBINDABLE.get(parameter.kind)
        if reason is not None:
            msg = f"Activity '{name}': parameter '{parameter}' {reason}"
            raise ActivityDeclarationError(msg)
    if parameters and parameters[0].name in ("self", "cls"):
        msg = (
            f"Activity '{name}' is a method, and there is no object to call it on. Move it out of "
            "its class."
        )
        raise ActivityDeclarationError(msg)


_UNBINDABLE: Final[dict[Any, str]] = {
    inspect.Parameter.VAR_POSITIONAL: (
        "takes any number of values: arguments are found by the names of the parameters. Take a "
        "list, or the whole context."
    ),
    inspect.Parameter.VAR_KEYWORD: (
        "takes values of any name: arguments are found by the names of the parameters. Take "
        "'context', which has all of them."
    ),
    inspect.Parameter.POSITIONAL_ONLY: (
        "is positional-only: arguments are given by name. Remove the '/' from the signature."
    ),
}


def _checked_isolation(
    name: str, function: Callable[..., Any], isolation: Isolation | None
) -> Isolation:
    is_async = _is_async(function)
    if isolation is None:
        return "task" if is_async else "thread"
    if isolation not in get_args(Isolation):
        msg = (
            f"Activity '{name}': isolation {isolation!r} is not known. Use 'task', 'thread' or "
            "'process'."
        )
        raise ActivityDeclarationError(msg)
    if isolation == "thread" and is_async:
        msg = (
            f"Activity '{name}' is async, and a thread has no event loop to run it. Leave "
            "isolation out to run it as a task, or use isolation='process'."
        )
        raise ActivityDeclarationError(msg)
    if isolation == "task" and not is_async:
        msg = (
            f"Activity '{name}' is not async, so nothing else could run while it does. Leave "
            "isolation out to run it in a thread, or declare it with 'async def'."
        )
        raise ActivityDeclarationError(msg)
    if isolation == "process":
        _check_importable(name, function)
    return isolation


def _check_importable(name: str, function: Callable[..., Any]) -> None:
    """Refuse what a child process, which has nothing but names to go by, could not find."""
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not inspect.isfunction(function) or module is None or qualname is None:
        reason = f"{function!r} is not a plain function of a module"
    elif "<lambda>" in qualname:
        reason = "it is a lambda"
    elif "<locals>" in qualname:
        reason = f"'{qualname}' is defined inside another function"
    elif module == "__main__":
        reason = "it is defined in the script that was started, which a child must not start again"
    else:
        return
    msg = (
        f"Activity '{name}' cannot have isolation='process': a child process imports the function "
        f"by its module and name, and {reason}. Define it with 'def' at the level of a module that "
        "can be imported."
    )
    raise ActivityDeclarationError(msg)


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function whose code runs when *function* (maybe a callable object) is called."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    called: Callable[..., Any] = type(function).__call__
    return called


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(_called(function))


def _place(function: Callable[..., Any]) -> str:
    called = function if hasattr(function, "__qualname__") else _called(function)
    return f"{called.__module__}.{called.__qualname__}"


def _first_paragraph(function: Callable[..., Any]) -> str:
    # A partial has the docstring of its class, which says nothing about the activity.
    documented = _called(function) if isinstance(function, functools.partial) else function
    paragraph = (inspect.getdoc(documented) or "").strip().split("\n\n")[0]
    return " ".join(paragraph.split())


def _schemas(kinds: list[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    try:
        schemas, definitions = msgspec.json.schema_components(
            kinds, schema_hook=any_value_schema, ref_template=_DEFINITIONS
        )
    except Exception:  # noqa: BLE001 - a catalogue without this schema is better than none
        return [{} for _ in kinds], {}
    return list(schemas), definitions


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), definitions = _schemas([kind])
    return schema | ({"$defs": definitions} if definitions else {})


def _default(value: Any) -> dict[str, Any]:
    try:
        return {"default": msgspec.json.decode(msgspec.json.encode(value))}
    except Exception:  # noqa: BLE001 - a default of any type is fine; not all can be shown
        return {}
