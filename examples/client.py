"""Sends some tasks at once, and prints who got what.

    python examples/client.py                       # six to http://127.0.0.1:5000/process
    python examples/client.py -n 5 --url http://127.0.0.1:5000/process

In front of five backends that take one task each, five are answered after 3 s, together; the sixth is told at once
that all are busy, and when to come back.
"""

import argparse
import threading
import time

import requests


def ask(url, task):
    """What came of one task: its status, how long it took, and what was said."""
    began = time.monotonic()
    answer = requests.post(url, json={"task": task}, timeout=120)
    took = time.monotonic() - began
    said = answer.json()
    if answer.ok:
        backend = said.get("backend")
        words = said["message"] + (f" by {backend}" if backend else "")
    else:
        words = said["error"]
        if "Retry-After" in answer.headers:
            words += f" (in {answer.headers['Retry-After']} s)"
    return f"{answer.status_code} after {took:.1f} s: {words}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:5000/process")
    parser.add_argument("-n", type=int, default=6, help="how many at once")
    parser.add_argument("--task", default="data analysis")
    args = parser.parse_args()

    together = threading.Barrier(args.n)
    printing = threading.Lock()

    def run(number):
        together.wait()
        try:
            said = ask(args.url, args.task)
        except requests.RequestException as error:
            said = f"no answer: {error}"
        with printing:
            print(f"{number}: {said}", flush=True)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, args.n + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
