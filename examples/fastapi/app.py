"""Tokens as they are made: server-sent events from FastAPI, one stream at a time.

    cd examples/fastapi && uvicorn app:app --port 6000 &
    idleway run --config examples/fastapi/idleway.toml
    curl -N 'http://127.0.0.1:5000/tokens?number=20'

When a client leaves in the midst of a stream, Starlette cancels the generator: closing does stop the work. That is
what `abandon = "cancel"` in the configuration says, so the Slot is free at once for the next client, instead of when
the last token would have been made.
"""

import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
count = {"at_work": 0, "most_at_once": 0, "finished": 0, "stopped": 0}


@app.get("/tokens")
async def tokens(number: int = 20, seconds: float = 0.1):
    return StreamingResponse(stream(number, seconds), media_type="text/event-stream")


async def stream(number, seconds):
    count["at_work"] += 1
    count["most_at_once"] = max(count["most_at_once"], count["at_work"])
    finished = False
    try:
        for token in range(number):
            yield f"data: token {token}\n\n"
            await asyncio.sleep(seconds)
        yield "data: [DONE]\n\n"
        finished = True
    finally:
        count["at_work"] -= 1
        count["finished" if finished else "stopped"] += 1


@app.get("/witness")
async def witness():
    return count
