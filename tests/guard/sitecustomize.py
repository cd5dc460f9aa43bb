"""Nothing that the tests start may leave this machine: any socket but a local one is an error.

On PYTHONPATH of the whole test run, so that it also holds in kernels, servers and command-line children.
"""

import sys

LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None}  # the wildcards: where a server listens


def _allowed(host):
    return host in LOCAL or (isinstance(host, str) and host.startswith("127."))


def _watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not _allowed(address[0]):
            raise ConnectionError("a test tried to reach another machine")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _allowed(
        arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
    ):
        raise ConnectionError("a test tried to look up another machine")


sys.addaudithook(_watch)
