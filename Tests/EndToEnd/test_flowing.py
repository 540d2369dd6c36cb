"""What flows is passed on as it comes: events, long polls, interim responses, and bodies in very many pieces."""

import queue
import threading

from test_data_plane import PATIENCE, client, dechunk, get, proxy, response, upstream  # noqa: F401


def test_each_event_arrives_before_the_next_is_made(upstream, client):  # noqa: F811
    seen = queue.Queue()

    def play(connection, number):
        upstream.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        # The head is on its way before there is any event, and no event is made before the last one has been seen.
        for count in range(50):
            assert seen.get(timeout=PATIENCE) == count
            event = b"data: %d\n\n" % count
            connection.sendall(b"%x\r\n%b\r\n" % (len(event), event))
        assert seen.get(timeout=PATIENCE) == 50
        connection.sendall(b"0\r\n\r\n")
        upstream.read_request(connection)

    upstream.plays(play)
    connection = client()
    connection.sendall(get("/events", b"Accept: text/event-stream\r\n"))
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, data = data.split(b"\r\n\r\n", 1)
    assert b"text/event-stream" in head
    for count in range(50):
        seen.put(count)
        while b"data: %d\n\n" % count not in data:
            more = connection.recv(65536)
            assert more, "the events broke off"
            data += more
    seen.put(50)
    while not data.endswith(b"0\r\n\r\n"):
        data += connection.recv(65536)
    assert dechunk(data) == b"".join(b"data: %d\n\n" % count for count in range(50))


def test_a_request_body_flows_too(upstream, client):  # noqa: F811
    arrived = threading.Semaphore(0)

    def play(connection, number):
        data = b""
        for count in range(20):
            while data.count(b"piece") <= count:
                data += connection.recv(65536)
            arrived.release()
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        upstream.read_request(connection)

    upstream.plays(play)
    connection = client()
    connection.sendall(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        connection.sendall(b"5\r\npiece\r\n")
        assert arrived.acquire(timeout=PATIENCE), "a piece was held back"
    connection.sendall(b"0\r\n\r\n")
    assert response(connection)[1] == b"ok"


def test_a_long_poll_waits_as_long_as_its_answer(upstream, client):  # noqa: F811
    is_asked, may_answer = threading.Event(), threading.Event()

    def play(connection, number):
        while request := upstream.read_request(connection):
            if request[0].startswith(b"GET /poll "):
                is_asked.set()
                assert may_answer.wait(PATIENCE)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews")

    upstream.plays(play)
    connection, other = client(), client()
    connection.sendall(get("/poll"))
    assert is_asked.wait(PATIENCE)
    # While it waits, others are served by the same worker.
    other.sendall(get("/other"))
    assert response(other)[1] == b"news"
    may_answer.set()
    assert response(connection)[1] == b"news"


def test_interim_responses_pass_in_order(upstream, client):  # noqa: F811
    def play(connection, number):
        while upstream.read_request(connection):
            connection.sendall(
                b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            )

    upstream.plays(play)
    connection = client()
    connection.sendall(get())
    data = b""
    while not data.endswith(b"\r\n\r\nok"):
        data += connection.recv(65536)
    hints, more, final = data.split(b"\r\n\r\n", 2)
    assert hints.startswith(b"HTTP/1.1 103 ") and b"</a.css>; rel=preload" in hints and more.startswith(b"HTTP/1.1 103 ") and b"</b.css>" in more
    assert final.startswith(b"HTTP/1.1 200 ")
    # HTTP/1.0 knows none of these (RFC 9110 §15.2).
    old = client()
    old.sendall(get(version=b"1.0", fields=b"Connection: keep-alive\r\n"))
    head, body = response(old)
    assert head.startswith(b"HTTP/1.1 200 ") and body == b"ok"


def test_very_many_small_chunks_are_the_same_body(upstream, client):  # noqa: F811
    body = bytes(range(256)) * 40
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"

    def play(connection, number):
        while upstream.read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)

    upstream.plays(play)
    connection = client()
    for _ in range(2):
        threading.Thread(
            target=connection.sendall, args=(b"POST /many HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,)
        ).start()
        assert response(connection)[1] == body
    assert [received for _, received in upstream.requests] == [body, body]
