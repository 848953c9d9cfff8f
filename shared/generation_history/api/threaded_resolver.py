"""A resolver whose calls run side by side: what Powertools keeps of a call on a class is of one call alone here.

docs/decisions/0015-calls-side-by-side.md
"""

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from aws_lambda_powertools.event_handler.api_gateway import APIGatewayHttpResolver

if TYPE_CHECKING:
    # Powertools' own class is typed in part only, and knows its attributes as plain ones.
    _Base = Any
else:
    _Base = APIGatewayHttpResolver


class _Call(NamedTuple):
    event: Any
    context: dict[str, Any]


_call: ContextVar[_Call] = ContextVar("call")


class ThreadedResolver(_Base):
    """Powertools' resolver for API Gateway v2, for any number of threads at once.

    Powertools sets the current event on the class of all resolvers, and the context on the resolver. Both are read as
    attributes of the resolver everywhere else, so properties that know the call are enough.
    """

    def __init__(self, **options: Any) -> None:
        self._context_of_none: dict[str, Any] = {}
        self._building = threading.Lock()
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]

    @property
    def current_event(self) -> Any:
        """The event of the call that this thread answers."""
        return _call.get().event

    @property
    def context(self) -> dict[str, Any]:
        """What this call's middlewares and routes tell each other."""
        call = _call.get(None)
        return self._context_of_none if call is None else call.context

    @context.setter
    def context(self, context: dict[str, Any]) -> None:
        self._context_of_none = context

    def resolve(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG002 - no route reads it
        """The answer of the route that the event is for, as Powertools gives it."""
        token = _call.set(_Call(self._to_proxy_event(event), {}))
        try:
            return self._build_response(self._resolve())
        finally:
            _call.reset(token)

    def _call_route(self, route: Any, route_arguments: dict[str, str]) -> Any:
        # The first call of a route builds its stack of middlewares. Two at once would build it twice over.
        if not route._middleware_stack_built:  # noqa: SLF001
            with self._building:
                if not route._middleware_stack_built:  # noqa: SLF001
                    route._build_middleware_stack(router_middlewares=self._router_middlewares, app=self)  # noqa: SLF001
        return super()._call_route(route, route_arguments)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
