"""What the package adds to a script: CPU of `import amber_nb` and of a first `ask`, against Python and the bare SDK.

    python tests/bench/overhead.py [RUNS]

Each figure is the CPU time (user + system) of whole fresh processes, run in turn so that a noisy machine disturbs both
alike; the median of the pairs' differences or ratios counts. Both sides ask the same HTTP simulator, which runs in a
process of its own.
"""

import os
import statistics
import subprocess
import sys

KEY = "ambrs-exampletoken"
SDK = """
import openai
client = openai.OpenAI(base_url={url!r}, api_key={key!r})
stream = client.chat.completions.create(
    model="azure/gpt-5.4", messages=[{{"role": "user", "content": "Hello!"}}], stream=True,
    stream_options={{"include_usage": True}})
text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
assert text == "Hello! How can I help you today?"
"""
SDK_WHOLE = """
import openai
client = openai.OpenAI(base_url={url!r}, api_key={key!r})
reply = client.chat.completions.create(model="azure/gpt-5.4", messages=[{{"role": "user", "content": "Hello!"}}])
assert reply.choices[0].message.content == "Hello! How can I help you today?"
"""
OURS = """
from amber_nb import Amber
assert Amber(base_url={url!r}, api_key={key!r}).ask("Hello!").text == "Hello! How can I help you today?"
"""
SIMULATED = """
from amber_nb import Amber
assert Amber(mode="simulate").ask("Hello!").text == "Hello! How can I help you today?"
"""


def cpu_s(code):
    """User + system seconds of a fresh interpreter that runs this code."""
    before = os.times()
    environment = {**os.environ, "AMBER_SIM_CHUNKS_PER_S": "0"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode, like the SDK's
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def pairs(one, other, runs):
    """Pairs of CPU seconds, after one run of each that is not counted."""
    cpu_s(one), cpu_s(other)
    return [(cpu_s(one), cpu_s(other)) for _ in range(runs)]


def line(name, value, limit, detail):
    print(f"{name:<46} {value:>9}   at most {limit:<8} {detail}")


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    server = subprocess.Popen(
        [sys.executable, "-m", "amber_nb.cli", "simulate", "--chunks-per-s", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        place = {"url": server.stdout.readline().strip(), "key": KEY}
        measured = pairs("import amber_nb", "pass", runs)
        added_ms = statistics.median(1000 * (ours - bare) for ours, bare in measured)
        line("import amber_nb, above bare Python", f"{added_ms:.1f} ms", "50 ms", f"median of {runs} pairs")
        for name, sdk in (("streamed", SDK), ("not streamed", SDK_WHOLE)):
            for code, where in ((OURS, "over HTTP"), (SIMULATED, "in the process")):
                measured = pairs(code.format(**place), sdk.format(**place), runs)
                ratio = statistics.median(ours / bare for ours, bare in measured)
                bare_s = statistics.median(bare for _, bare in measured)
                name_ = f"first ask {where} / SDK {name} over HTTP"
                line(name_, f"{ratio:.2f} x", "1.1 x", f"SDK {bare_s:.2f} s, median of {runs} pairs")
    finally:
        server.terminate()
        server.wait(10)
        server.stdout.close()


if __name__ == "__main__":
    main()
