"""The AsyncAPI document of every socket path, made of the types that the paths and topics declare.

Served at `/docs/asyncapi.json`; the message names and their first sentences also at `/realtime/websocket-info/`.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from streaming import core, dialects, topics
from streaming.dialects import Dialect
from streaming.messages import SAID

ASYNCAPI: Final = "3.0.0"
_PARAMETER: Final = re.compile(r"\(\?P<(\w+)>[^)]*\)")
_STAMP: Final = {"type": "string", "format": "date-time", "examples": ["2026-01-28T10:30:01.123456Z"]}


def document(title: str, version: str, host: str, protocol: str) -> dict[str, Any]:
    """host: such as `localhost:8000`; protocol: ws or wss."""
    paths = sorted(dialects.registry, key=lambda dialect: dialect.path)
    schemas, components = _schemas(paths)
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": title, "version": version, "description": inspect.getdoc(core) or ""},
        "defaultContentType": "application/json",
        "servers": {"here": {"host": host, "protocol": protocol}},
        "channels": {channel_name(dialect): _channel(dialect, schemas) for dialect in paths},
        "operations": {name: operation for dialect in paths for name, operation in _operations(dialect)},
        "components": {"schemas": components},
    }


def descriptions() -> dict[str, str]:
    """What can be said and heard on `/ws/realtime/`: the messages' names, and a sentence on each."""
    return {name: sentence(type_) for name, type_ in {**client_messages(), **SAID, **events()}.items()}


def client_messages() -> dict[str, type]:
    """The `data` of what clients say on the core path."""
    return {name: shape for name, (shape, _) in core.MEANINGS.items()}


def events() -> dict[str, type]:
    """The `data` of every topic's events, by event type."""
    return {name: type_ for topic in topics.registry.values() for name, type_ in topic.events.items()}


def topic_list() -> dict[str, dict[str, Any]]:
    """What can be subscribed to on `/ws/realtime/`, by prefix: `{"kind", "description", "public", "events": […]}`."""
    return {
        prefix: {
            "kind": topic.kind.value, "description": sentence(type(topic)), "public": topic.public,
            "events": sorted(topic.events),
        }
        for prefix, topic in sorted(topics.registry.items())
    }  # fmt: skip


def sentence(type_: type) -> str:
    """The first sentence of what is written on the type; empty where nothing is."""
    said = inspect.getdoc(type_) if isinstance(type_, type) and type_ not in (dict, list) else None
    return " ".join((said or "").partition("\n\n")[0].split())


def channel_name(dialect: Dialect) -> str:
    """Such as `market_symbol_price`."""
    return re.sub(r"\W+", "_", address(dialect).removeprefix("/ws/")).strip("_")


def address(dialect: Dialect) -> str:
    """Such as `/ws/market/{symbol}/price/`."""
    return f"/ws/{_PARAMETER.sub(_braced, dialect.path)}/"


def _braced(parameter: re.Match[str]) -> str:
    return "{" + parameter[1] + "}"


# --- Parts ----------------------------------------------------------------------------------------------------------


def _is_core(dialect: Dialect) -> bool:
    return dialect.path == core.Core.path


def _heard(dialect: Dialect) -> Mapping[str, type]:
    return client_messages() if _is_core(dialect) else dialect.hears


def _said(dialect: Dialect) -> Mapping[str, type]:
    return {**SAID, **events()} if _is_core(dialect) else dialect.says


def _schemas(paths: Iterable[Dialect]) -> tuple[dict[type, Any], dict[str, Any]]:
    """Each type's schema, and the definitions that they refer to."""
    types = [type_ for dialect in paths for type_ in (*_heard(dialect).values(), *_said(dialect).values())]
    unique = list(dict.fromkeys(types))
    found, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    return dict(zip(unique, found, strict=True)), components


def _channel(dialect: Dialect, schemas: Mapping[type, Any]) -> dict[str, Any]:
    wrap = _enveloped if _is_core(dialect) else _plain
    messages = {
        f"{direction}_{name}": wrap(name, type_, schemas[type_])
        for direction, declared in (("client", _heard(dialect)), ("server", _said(dialect)))
        for name, type_ in declared.items()
    }
    channel = {"address": address(dialect), "description": inspect.getdoc(dialect) or "", "messages": messages}
    if _is_core(dialect):
        channel["x-topics"] = topic_list()
    if parameters := _PARAMETER.findall(dialect.path):
        channel["parameters"] = {
            name: {"description": f"The {name}, as in `{address(dialect)}`."} for name in parameters
        }
    return channel


def _enveloped(name: str, type_: type, schema: Any) -> dict[str, Any]:
    topic = {"type": "string", **({"description": f"Of {', '.join(of)}."} if (of := _topics_with(name)) else {})}
    properties = {"type": {"const": name}, "data": schema, "timestamp": _STAMP, "id": {}, "topic": topic}
    payload = {"type": "object", "properties": properties, "required": ["type"]}
    return {"name": name, "summary": sentence(type_), "payload": payload}


def _topics_with(event: str) -> list[str]:
    return sorted(prefix for prefix, topic in topics.registry.items() if event in topic.events)


def _plain(name: str, type_: type, schema: Any) -> dict[str, Any]:
    return {"name": name, "summary": sentence(type_), "payload": schema}


def _operations(dialect: Dialect) -> list[tuple[str, dict[str, Any]]]:
    """From our side: what clients say is received here."""
    name = channel_name(dialect)
    return [
        (f"{action}_{name}", _operation(action, name, direction, declared))
        for action, direction, declared in (("receive", "client", _heard(dialect)), ("send", "server", _said(dialect)))
        if declared
    ]


def _operation(action: str, channel: str, direction: str, declared: Iterable[str]) -> dict[str, Any]:
    at = f"#/channels/{channel}"
    references = [{"$ref": f"{at}/messages/{direction}_{name}"} for name in declared]
    return {"action": action, "channel": {"$ref": at}, "messages": references}
