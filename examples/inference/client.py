"""Sends prompts at once, and comes back when it is told to.

    python examples/inference/client.py -n 30 --url http://127.0.0.1:5000/generate

A 503 with `Retry-After` is no failure: nothing has run, and the gateway says when there will be room. So the client
waits that long and asks again, for as long as it is willing to.
"""

import argparse
import concurrent.futures
import sys
import time

import requests


def generate(url, prompt, patience):
    """The text for a prompt, and how often it had to be asked for."""
    until = time.monotonic() + patience
    for attempt in range(1, sys.maxsize):
        answer = requests.post(url, json={"prompt": prompt}, timeout=120)
        if answer.status_code != 503 or "Retry-After" not in answer.headers:
            answer.raise_for_status()
            return answer.json()["text"], attempt
        wait = int(answer.headers["Retry-After"])
        if time.monotonic() + wait > until:
            raise TimeoutError(f"busy for {patience} s: {answer.json()['error']}")
        time.sleep(wait)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:5000/generate")
    parser.add_argument("-n", type=int, default=30, help="how many at once")
    parser.add_argument("--patience", type=float, default=120, help="seconds to go on asking")
    args = parser.parse_args()

    failures = 0
    with concurrent.futures.ThreadPoolExecutor(args.n) as threads:
        asked = {
            threads.submit(generate, args.url, f"prompt {number}", args.patience): number
            for number in range(args.n)
        }
        for done in concurrent.futures.as_completed(asked):
            try:
                text, attempts = done.result()
                print(f"{asked[done]}: {text} (asked {attempts} times)", flush=True)
            except (requests.RequestException, TimeoutError) as error:
                failures += 1
                print(f"{asked[done]}: failed: {error}", flush=True)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
