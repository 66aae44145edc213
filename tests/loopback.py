"""A web server on the loopback in a thread of its own."""

import threading
from http.server import ThreadingHTTPServer


class Loopback:
    """What serves by a handler between `begin` and the end of its context."""

    def begin(self, handler, on_error):
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._httpd.daemon_threads = True
        self._httpd.handle_error = on_error
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()

    @property
    def address(self):
        return f"http://127.0.0.1:{self._httpd.server_port}"
