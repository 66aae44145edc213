"""A web server that hands everything on to another one and falters as it is told."""

from __future__ import annotations

import http.client
import time
import traceback
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

from tests.fdsn_service import FINE
from tests.loopback import Loopback

_NOT_HANDED_ON = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class FaultyProxy(Loopback):
    """Stands before a server on the loopback; start it as a context manager.

    Args:
        port: the server's.

    Attributes:
        asked: method, path and range of each request.
        sizes: bytes of each answer to a request for an object.
        errors: what went wrong here.
        faults: of the next answers to requests for objects.
        for_good: of all further ones.
    """

    def __init__(self, port):
        self.asked = []
        self.sizes = []
        self.errors = []
        self.faults = deque()
        self.for_good = FINE
        self._port = port

    def __enter__(self):
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                proxy._hand_on(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        return self.begin(Handler, lambda *_: proxy.errors.append(traceback.format_exc()))

    @property
    def objects(self):
        """Paths and ranges of objects that were asked for."""
        return [(path, part) for path, part in self.asked if "list-type" not in path]

    @property
    def lists(self):
        """Paths of lists that were asked for."""
        return [unquote(path) for path, _ in self.asked if "list-type" in path]

    def _hand_on(self, handler):
        is_list = "list-type" in handler.path
        self.asked.append((handler.path, handler.headers.get("Range", "")))
        fault = FINE if is_list else self.faults.popleft() if self.faults else self.for_good
        time.sleep(fault.wait_s)
        handler.close_connection = fault is not FINE
        if fault.status != 200:
            handler.send_response(fault.status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        link = http.client.HTTPConnection("127.0.0.1", self._port)
        headers = {key: value for key, value in handler.headers.items() if key != "Host"}
        link.request(handler.command, handler.path, headers=headers)
        answer = link.getresponse()
        body = answer.read()
        if fault.body is not None:
            body = (fault.body * (len(body) // len(fault.body) + 1))[: len(body)]
        if not is_list:
            self.sizes.append(len(body))
        handler.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in _NOT_HANDED_ON:
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        link.close()
        with suppress(OSError):
            handler.wfile.write(body[: round(len(body) * fault.keep)])
