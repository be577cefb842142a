"""A rest-json service on loopback, derived from botocore's model, which validates each request and each response."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
from botocore.validate import ParamValidator

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class ServiceError(Exception):
    """An error in the service's model."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class FakeAwsService:
    """Serves the operations in a table at `url`.

    Args:
        calls: receives (operation, parameters) of each valid request.
    """

    def __init__(self, service: str, handlers: Mapping[str, Handler], calls: list[tuple[str, dict[str, Any]]]) -> None:
        self._model = botocore.session.get_session().get_service_model(service)
        unknown = set(handlers) - set(self._model.operation_names)
        assert not unknown, f"{service} has no {unknown}"
        self._handlers, self.calls = handlers, calls
        self._routes = [(name, *self._route(name)) for name in self._model.operation_names]
        service_handler = self

        class Http(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, content, headers = service_handler.answer(self.command, self.path, body)
                self.send_response(status)
                for key, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(content))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Http)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers."""
        parts = urlsplit(target)
        try:
            name, path = self._find(method, parts.path)
            shape = self._model.operation_model(name).input_shape
            given = self._read(shape, path, parse_qs(parts.query), json.loads(body or b"{}"))
            self.check(shape, given)
            if name not in self._handlers:
                raise ServiceError("UnknownOperationException", f"the stand-in has no {name}", 404)
            self.calls.append((name, given))
            answer = self._handlers[name](given)
        except ServiceError as fault:
            return fault.status, json.dumps({"message": str(fault)}).encode(), {"x-amzn-errortype": fault.code}
        operation = self._model.operation_model(name)
        try:
            self.check(operation.output_shape, answer)
        except ServiceError as fault:
            return 500, json.dumps({"message": f"the stand-in answers wrongly: {fault}"}).encode(), {"x-amzn-errortype": "InternalFault"}
        return operation.http.get("responseCode", 200), json.dumps(answer, default=_plain).encode(), {}

    def check(self, shape: Any, given: Any) -> None:
        """
        Raises:
            ServiceError: it does not have the shape; botocore leaves patterns and enumerations to the service, so they are checked here.
        """
        report = ParamValidator().validate(given, shape)
        faults = [report.generate_report()] if report.has_errors() else list(_strange(shape, given, shape.name))
        if faults:
            raise ServiceError("ValidationException", "; ".join(faults))

    def _route(self, name: str) -> tuple[str, re.Pattern[str]]:
        http = self._model.operation_model(name).http
        template = http["requestUri"].split("?")[0]
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
        return http["method"], re.compile(pattern)

    def _find(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        for name, wanted, pattern in self._routes:
            found = pattern.fullmatch(path)
            if found and method == wanted:
                return name, {key: unquote(value) for key, value in found.groupdict().items()}
        raise ServiceError("UnknownOperationException", f"{method} {path} is no operation of {self._model.service_name}", 404)

    def _read(self, shape: Any, path: dict[str, str], query: dict[str, list[str]], body: dict[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, member in (shape.members if shape else {}).items():
            wire_name = member.serialization.get("name", name)
            where = member.serialization.get("location")
            if where == "uri":
                given[name] = path[wire_name]
            elif where == "querystring" and wire_name in query:
                given[name] = int(query[wire_name][0]) if member.type_name == "integer" else query[wire_name][0]
            elif where is None and wire_name in body:
                given[name] = _decoded(member, body.pop(wire_name))
        if body:
            raise ServiceError("ValidationException", f"{', '.join(body)} is unknown to {shape.name}")
        return given


def _decoded(shape: Any, value: Any) -> Any:
    return base64.b64decode(value) if shape.type_name == "blob" else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()


def _strange(shape: Any, given: Any, where: str) -> Any:
    if shape.type_name == "structure":
        for key, value in given.items():
            yield from _strange(shape.members[key], value, f"{where}.{key}")
    elif shape.type_name == "list":
        for value in given:
            yield from _strange(shape.member, value, where)
    elif shape.type_name == "map":
        for key, value in given.items():
            yield from _strange(shape.value, value, f"{where}.{key}")
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern")
        if shape.enum and given not in shape.enum:
            yield f"{where} is {given!r}, not one of {shape.enum}"
        if pattern and not re.search(pattern, given):
            yield f"{where} is {given!r}, which does not match {pattern}"
