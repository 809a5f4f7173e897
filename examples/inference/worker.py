"""An inference worker that batches up to four prompts: a fifth does not fit into its memory.

    python examples/inference/worker.py 6000 &
    idleway run --config examples/inference/idleway.toml
    python examples/inference/client.py -n 30

It has nothing but the standard library. Its memory is a semaphore that does not wait: who finds it taken fails, as an
allocation on a device would. The configuration says `slots = 4`, so nobody does.
"""

import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOTS = 4
WORK_SECONDS = float(os.environ.get("WORK_SECONDS", "1"))

memory = threading.BoundedSemaphore(SLOTS)
lock = threading.Lock()
count = {"at_work": 0, "most_at_once": 0, "served": 0, "failed": 0}


def change(**by):
    with lock:
        for name, number in by.items():
            count[name] += number
        count["most_at_once"] = max(count["most_at_once"], count["at_work"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        if not memory.acquire(blocking=False):
            change(failed=1)
            return self.answer(500, {"error": "out of memory"})
        change(at_work=1)
        try:
            time.sleep(WORK_SECONDS * random.uniform(0.5, 1.5))
        finally:
            change(at_work=-1, served=1)
            memory.release()
        self.answer(200, {"text": prompt[::-1]})

    def do_GET(self):
        with lock:
            counted = dict(count)
        self.answer(200, counted)

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
