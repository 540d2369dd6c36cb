"""An OpenTelemetry collector that this test can make busy, and a listener on a unix socket."""

import contextlib
import http.server
import json
import os
import socket
import threading


class Collector:
    """Takes OTLP over HTTP on a free port, or on one of a collector before."""

    def __init__(self, port=0):
        self.bodies, self.paths, self.fields, self.statuses = [], [], [], []
        self.has_ended = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.has_ended:
                    # A connection that was kept: whoever is gone answers nothing.
                    self.close_connection = True
                    return
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status == 200:
                    outer.bodies.append(body)
                outer.paths.append(self.path)
                outer.fields.append(dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def records(self):
        return [
            record
            for body in self.bodies
            for resource in json.loads(body)["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]

    def end(self):
        self.has_ended = True
        self.server.shutdown()
        self.server.server_close()


class LineListener:
    """Reads lines from whoever connects to a unix socket; each connection's bytes apart."""

    def __init__(self, path):
        self.path = str(path)
        self.connections = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.peers = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            received = bytearray()
            self.connections.append(received)
            self.peers.append(peer)
            threading.Thread(target=self._read, args=(peer, received), daemon=True).start()

    @staticmethod
    def _read(peer, received):
        with contextlib.suppress(OSError):
            while piece := peer.recv(65536):
                received += piece

    def lines(self):
        return [line for received in self.connections for line in bytes(received).decode().splitlines()]

    def end(self):
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()
        self.listener.close()
        os.unlink(self.path)
