"""A line between a client and a port of this machine, that is cut, swallows or goes silent as a test wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading


class Line:
    """``with Line(port) as line``: leads to the port from one of its own.

    ``up`` and ``down`` say whether what the client and the server say arrives; what does not is swallowed.
    ``answering`` says whether new connections are led on; ``refused`` counts those that were not.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.up = self.down = self.answering = True
        self.refused = 0
        self.host = host
        self._port = port
        self._tls = tls
        self._ends: list[socket.socket] = []
        self._cuts = 0
        self._listener = socket.create_server((host, 0))
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """Where the client finds it."""
        scheme = "https" if self._tls is not None else "http"
        return f"{scheme}://{self.host}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Line:
        self._threads[0].start()
        return self

    def __exit__(self, *args: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(20)
        self._listener.close()
        self.cut()
        for thread in self._threads[1:]:
            thread.join(20)

    def cut(self) -> None:
        """End every connection, from which nothing arrives any more; all arrives from the next."""
        self._cuts += 1
        self.up = self.down = True
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if self.answering:
                self._begin(self._lead, here)
            else:
                here.close()
                self.refused += 1

    def _begin(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args)  # type: ignore[arg-type]  # each of the methods below
        self._threads.append(thread)
        thread.start()

    def _lead(self, here: socket.socket) -> None:
        cuts = self._cuts
        try:
            if self._tls is not None:
                here = self._tls.wrap_socket(here, server_side=True)
            there = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            here.close()
            return
        self._ends += [here, there]
        # Both directions hold both ends: closed when the second has ended.
        ended = threading.Semaphore(0)
        self._begin(self._pump, there, here, "down", cuts, ended)
        self._pump(here, there, "up", cuts, ended)
        ended.acquire(timeout=20)
        ended.acquire(timeout=20)
        here.close()
        there.close()

    def _pump(
        self, source: socket.socket, target: socket.socket, way: str, cuts: int, ended: threading.Semaphore
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65536):
                if getattr(self, way) and cuts == self._cuts:
                    target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        ended.release()
