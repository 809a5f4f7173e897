"""Reads messages with h11: one a line on standard input, its kind and its bytes in hexadecimal.

Each is answered by one line: `no-head`, `refused STATUS WORDS`, or `read` and what was read.
"""

import sys

import h11


def connection(kind):
    if kind == "request":
        return h11.Connection(h11.SERVER)
    reader = h11.Connection(h11.CLIENT)
    method = "HEAD" if kind == "response-to-head" else "GET"
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    return reader


def fields(headers):
    return ",".join(name.hex() + ":" + value.hex() for name, value in headers) or "-"


def read(kind, data):
    reader = connection(kind)
    if data:  # nothing at all would mean the end of input
        reader.receive_data(data)
    start = trailers = None
    body = b""
    end = "complete"
    ended = False
    while True:
        try:
            event = reader.next_event()
        except h11.RemoteProtocolError as fault:
            if not ended:
                return f"refused {fault.error_status_hint} {fault}"
            end = "truncated"
            break
        if event is h11.NEED_DATA:
            ended = True
            reader.receive_data(b"")
        elif isinstance(event, (h11.Request, h11.Response)):
            start = event
        elif isinstance(event, h11.InformationalResponse):
            start = event
            break
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            trailers = event.headers
            break
        else:
            break
    if start is None:
        return "no-head"
    if isinstance(start, h11.Request):
        line = start.method.hex() + " " + start.target.hex()
    else:
        line = str(start.status_code) + " " + (bytes(start.reason).hex() or "-")
    # It holds back lines that are not whole; of a message without end all bytes are its.
    left = 0 if end == "truncated" else len(reader.trailing_data[0])
    kept = "close" if ended or reader.their_state in (h11.MUST_CLOSE, h11.CLOSED) else "keep"
    version = start.http_version.decode()
    return " ".join(
        ["read", line, version, fields(start.headers), body.hex() or "-", fields(trailers or []), end, kept]
        + [str(len(data) - left)]
    )


for request in sys.stdin:
    kind, data = request.split(" ")
    print(read(kind, bytes.fromhex(data)).replace("\n", " "))
