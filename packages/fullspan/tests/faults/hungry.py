"""A web server that takes what it is asked to take, says what it could not get, and goes on: `hungry.py PORT FOLDER`.

/memory takes 256 MiB, /file opens a file, /write writes 64 KiB to FOLDER and gives them back, /burn computes for 20 ms;
/ takes nothing.
`die` on its command line lets it end at the first refusal.
"""

import os
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[2])
TAKEN = 256 * 2**20


def take(what: str) -> None:
    if what == "/memory":
        bytearray(TAKEN)
    elif what == "/file":
        Path(os.devnull).open().close()
    elif what == "/write":
        # A file of its own each time: one that is there already gives the room that writing it anew takes.
        with tempfile.TemporaryFile(dir=FOLDER) as file:
            file.write(bytes(65536))
    elif what == "/burn":
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            take(self.path)
            status, body = 200, b"taken"
        except (OSError, MemoryError) as error:
            sys.stdout.write(f"{self.path} failed: {error!r}\n")
            sys.stdout.flush()
            if "die" in sys.argv:
                os._exit(7)
            status, body = 503, b"refused"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
