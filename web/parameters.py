"""Query parameters: which there may be, and how they are refused."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Final, NoReturn

import msgspec

from flowmgr.errors import told
from flowmgr.language.findings import Findings, Names, quote, shorten
from web.problems import ParameterProblem, RequestError
from web.requests import AnyRequest


class QueryParameters(msgspec.Struct, frozen=True):
    """The query parameters that a handler reads itself, kept in its `opt`.

    Attributes:
        names: their names.
        prefix: what the names of further ones begin with; None if there are none.
    """

    names: frozenset[str] = frozenset()
    prefix: str | None = None

    def __contains__(self, name: str) -> bool:
        return name in self.names or (self.prefix is not None and name.startswith(self.prefix))


OWN_PARAMETERS: Final = "query_parameters"
"""Where in the `opt` of a handler they are."""

_NONE: Final = QueryParameters()


def refuse_unknown_query(request: AnyRequest) -> None:
    """Refuse query parameters that the route does not have, or that are there twice.

    Raises:
        RequestError: there are some.
    """
    if not request.scope["query_string"]:
        return
    handler = request.route_handler
    known = handler.parsed_fn_signature.parameters.keys() - request.path_params.keys() - {"request"}
    own: QueryParameters = handler.opt.get(OWN_PARAMETERS, _NONE)
    names = Names(sorted(known | own.names))
    findings = Findings()
    counted = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in sorted(counted.items()):  # they come in any order
        if name not in known and name not in own:
            _add_unknown(name, names, findings)
        elif count > 1:
            message = f"The query parameter {quote(name)} is there more than once"
            findings.add(shorten(name), "duplicate_parameter", message, "Keep one of them")
    refuse_parameters(findings)


def refuse_parameters(findings: Findings) -> None:
    """Refuse the query parameters if anything was found wrong with them.

    Args:
        findings: what is wrong; their pointers are the names of the parameters.

    Raises:
        RequestError: something is, 400; it has all of it.
    """
    if findings:
        problems = tuple(
            ParameterProblem(each.pointer, each.code, each.message, each.hint)
            for each in findings.listed()
        )
        raise RequestError(HTTPStatus.BAD_REQUEST, told(problems), problems)


def refuse_parameter(name: str, code: str, message: str, hint: str) -> NoReturn:
    """Refuse a query parameter.

    Raises:
        RequestError: always, 400.
    """
    problem = ParameterProblem(name, code, message, hint)
    raise RequestError(HTTPStatus.BAD_REQUEST, message, (problem,))


def _add_unknown(name: str, known: Names, findings: Findings) -> None:
    closest = None if findings.is_full else known.closest(name)
    meant = f"; did you mean {quote(closest)}?" if closest else ""
    message = f"There is no query parameter {quote(name)} here{meant}"
    hint = f"The parameters are: {', '.join(known)}" if known else "There are none; take it out"
    findings.add(shorten(name), "unknown_parameter", message, hint)
