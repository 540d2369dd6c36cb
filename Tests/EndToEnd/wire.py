"""HTTP/1.1 as its bytes: messages that are read by their own framing, and connections that end in every way."""

import contextlib
import re
import socket
import struct


class BrokenOff(Exception):
    """The other side ended in the middle of a message."""


class Message:
    """Reads messages from a connection, one after the other."""

    def __init__(self, connection, is_response=False):
        self.connection = connection
        self.is_response = is_response
        self.data = b""

    def more(self):
        try:
            got = self.connection.recv(65536)
        except ConnectionError as error:
            raise BrokenOff("reset") from error
        if not got:
            raise BrokenOff("end")
        self.data += got

    def take(self, count):
        while len(self.data) < count:
            self.more()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def line(self):
        while b"\r\n" not in self.data:
            self.more()
        line, self.data = self.data.split(b"\r\n", 1)
        return line

    def head(self):
        """The first line and the fields; interim responses are passed over."""
        while True:
            first, fields = self.line(), {}
            while line := self.line():
                name, value = line.split(b":", 1)
                fields[name.strip().lower()] = value.strip()
            if not self.is_response or not re.match(rb"HTTP/1\.1 1(?!01)\d\d ", first):
                return first, fields

    def body(self, fields):
        if fields.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(self.line().split(b";")[0], 16):
                body += self.take(size)
                assert self.take(2) == b"\r\n"
            while self.line():
                pass
            return body
        if b"content-length" in fields or not self.is_response:
            return self.take(int(fields.get(b"content-length", 0)))
        while True:
            try:
                self.more()
            except BrokenOff as broken:
                # Only an end in order is the end of such a body.
                if broken.args != ("end",):
                    raise
                taken, self.data = self.data, b""
                return taken

    def read(self):
        """The first line and the body."""
        first, fields = self.head()
        return first, self.body(fields)


def end(connection, how):
    """How a connection ends: by a reset, in order once the other side ends it too, or at once for both directions."""
    with contextlib.suppress(OSError):
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "finish":
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    connection.close()
