"""What recording adds and what replaying costs, against the same call without a cassette, in one run.

    python tests/bench/cassettes.py [--chunks 5000] [--rounds 5]

`record`: first chunk and CPU of `ask` while recording, minus and over those of `ask` live, on a stream of its own pace.
`replay`: time of `ask` on a recording of as many chunks, over the SDK's bare loop on them over HTTP.
The server is a process of its own, so that its CPU is not counted here.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from amber_nb import Amber

KEY = "ambrs-exampletoken"
HERE = Path(__file__).parent


def measured(work):
    """Seconds of CPU and of the clock, and the result."""
    cpu, clock = time.process_time(), time.perf_counter()
    result = work()
    return time.process_time() - cpu, time.perf_counter() - clock, result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--chunks", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    server = subprocess.Popen([sys.executable, str(HERE / "streams.py")], stdout=subprocess.PIPE, text=True)
    try:
        base_url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        with tempfile.TemporaryDirectory() as folder:
            table(base_url, Path(folder), options.chunks, options.rounds)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def table(base_url, folder, chunks, rounds):
    burst, paced, one = (
        json.dumps({"text": "essay", "chunks": number, "per_s": per_s})
        for number, per_s in ((chunks, 0), (chunks // 10, 500), (1, 0))
    )
    live = Amber(base_url=base_url, api_key=KEY)
    first, cpu, replay = [], {burst: [], paced: []}, []
    for number in range(rounds + 1):
        tape = folder / f"{number}.jsonl"
        recording = Amber(mode="record", cassette=tape, base_url=base_url, api_key=KEY)
        for prompt in (burst, paced):
            asks = [(live, []), (recording, [])]
            for amber, found in asks if number % 2 else asks[::-1]:
                amber.ask(one)  # its connection is open now
                found.extend(measured(lambda amber=amber, prompt=prompt: amber.ask(prompt)))
            (plain, _, answer), (taped, _, recorded) = (found for _, found in asks)
            cpu[prompt].append(taped / plain)
            first.append((recorded.first_token_s - answer.first_token_s) * 1e3)
        _, loop_s, _ = measured(lambda: sdk_loop(live.openai, burst))
        player = Amber(mode="replay", cassette=tape)
        _, replay_s, _ = measured(lambda player=player: player.ask(burst))
        replay.append(replay_s / loop_s)
        if not number:  # warm now
            first, cpu, replay = [], {burst: [], paced: []}, []
    median = statistics.median
    print(f"recording, first chunk: {median(first):+.1f} ms (limit +5)")
    print(f"recording, CPU, {chunks:,} chunks in a burst: {median(cpu[burst]):.2f} x live")
    print(f"recording, CPU, {chunks // 10:,} chunks at 500/s: {median(cpu[paced]):.2f} x live (limit 1.10)")
    print(f"replay of {chunks:,} chunks through ask: {median(replay):.2f} x the SDK's bare loop over HTTP (limit 0.30)")


def sdk_loop(sdk, prompt):
    text = []
    messages = [{"role": "user", "content": prompt}]
    for chunk in sdk.chat.completions.create(model="m", messages=messages, stream=True):
        if chunk.choices:
            text.append(chunk.choices[0].delta.content or "")
    return "".join(text)


if __name__ == "__main__":
    main()
