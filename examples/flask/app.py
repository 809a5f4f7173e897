"""A backend for one task at a time, as a plain Flask application.

    for port in 6000 6001 6002 6003 6004; do python examples/flask/app.py $port & done
    idleway run --config examples/flask/idleway.toml
    python examples/client.py

Nothing in it knows of the gateway. Like many applications it cannot do two things at once (a model, a device, a file
that is written): it counts what it has at work, and a second task fails. Behind Idleway that does not happen, though
Flask's own server would start a thread for each request that comes.
"""

import os
import sys
import threading
import time

from flask import Flask, jsonify, request
from werkzeug.serving import make_server

WORK_SECONDS = float(os.environ.get("WORK_SECONDS", "3"))

app = Flask(__name__)
lock = threading.Lock()
count = {"at_work": 0, "most_at_once": 0, "served": 0, "failed": 0}


@app.post("/process")
def process():
    task = request.get_json()
    with lock:
        count["at_work"] += 1
        count["most_at_once"] = max(count["most_at_once"], count["at_work"])
        is_over = count["at_work"] > 1
    try:
        if is_over:
            with lock:
                count["failed"] += 1
            return jsonify(error="two tasks at once"), 500
        time.sleep(WORK_SECONDS)
        with lock:
            count["served"] += 1
        return jsonify(message="Processed successfully", data=task, backend=f"process {os.getpid()}")
    finally:
        with lock:
            count["at_work"] -= 1


@app.get("/witness")
def witness():
    with lock:
        return jsonify(count)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    server = make_server("127.0.0.1", port, app, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
