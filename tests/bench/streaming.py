"""What a streamed answer costs the kernel and the wire: ours, the bare SDK, and what people do otherwise.

    python tests/bench/streaming.py [--rounds 3] [--chunks 5000] [--paces burst,100] [--text essay|tutorial]

Each contestant runs in a real ipykernel of its own, in a cell that a front end has sent, against one HTTP server in a
process of its own that streams the same Markdown, four characters a chunk: an essay with headings, lists and a table
here and there, or a tutorial that is half code, tables and links. They take turns, so that a noisy machine
disturbs all alike; each figure is the median of the rounds, CPU as a ratio to the SDK's bare loop in the same round.
chatlas takes part where it is installed.

    iopub/text   bytes that the kernel publishes for the cell, the settled answer among them, for a byte of text; the
                 layer's code (79 kB, once a page) is left out
    CPU          user + system of the kernel's process, against `for chunk in client.chat.completions.create(…)`
"""

import argparse
import contextlib
import importlib.util
import json
import math
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import zmq
from jupyter_client.manager import KernelManager
from streams import SIZE, TEXTS, answer

# --- the contestants: what a first cell sets up, and what the measured cell does

COMMON = """
import json, resource, time
URL, KEY = "http://127.0.0.1:{port}/v1", "ambrs-exampletoken"
def prompt(name, chunks, per_s):
    return json.dumps(dict(text=name, chunks=chunks, per_s=per_s))
def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
def measured(name, chunks, per_s):
    before, start = cpu_s(), time.perf_counter()
    text = run(prompt(name, chunks, per_s))
    took = dict(cpu_s=cpu_s() - before, wall_s=time.perf_counter() - start, characters=len(text))
    with open(REPORT, "w") as out:  # a file: what is printed would count as published
        json.dump(took, out)
"""
OPENAI = """
import openai
client = openai.OpenAI(base_url=URL, api_key=KEY)
def stream(text):
    for chunk in client.chat.completions.create(
        model="azure/gpt-5.4", messages=[dict(role="user", content=text)], stream=True
    ):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content
"""
SDK = """
def run(text):
    return "".join(stream(text))
"""
EVERY_CHUNK = """
from IPython.display import Markdown, display
def run(text):
    so_far, handle = "", display(Markdown(""), display_id=True)
    for piece in stream(text):
        so_far += piece
        handle.update(Markdown(so_far))
    return so_far
"""
THIRTY_HZ = """
from IPython.display import Markdown, display
def run(text):
    so_far, handle, last = "", display(Markdown(""), display_id=True), 0
    for piece in stream(text):
        so_far += piece
        if time.monotonic() - last > 1 / 30:
            last = time.monotonic()
            handle.update(Markdown(so_far))
    handle.update(Markdown(so_far))
    return so_far
"""
OURS = """
from amber_nb import Amber
amber = Amber(base_url=URL, api_key=KEY)
def run(text):
    return amber.ask(text).text
"""
CHATLAS = """
import chatlas
def run(text):
    chat = chatlas.ChatOpenAICompletions(base_url=URL, api_key=KEY, model="azure/gpt-5.4")
    return str(chat.chat(text))
"""
BARE = "SDK, bare loop"
CONTESTANTS = {
    BARE: OPENAI + SDK,
    "amber_nb": OURS,
    "update_display(Markdown), 30 a second": OPENAI + THIRTY_HZ,
    "update_display(Markdown), each chunk": OPENAI + EVERY_CHUNK,
}
if importlib.util.find_spec("chatlas"):
    CONTESTANTS["chatlas"] = CHATLAS


class Front:
    """A kernel, and a front end that runs cells in it, answers the layer as a page in JupyterLab does, and counts."""

    def __init__(self, name, port, report):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels(iopub=False, hb=False)
        # A socket of our own: the client's would drop what comes too fast, and what is counted must be what was sent.
        self.iopub = zmq.Context.instance().socket(zmq.SUB)
        self.iopub.rcvhwm = 0
        self.iopub.subscribe(b"")
        self.iopub.connect(f"tcp://127.0.0.1:{self.manager.iopub_port}")
        self.report = report
        self.subshell = None
        self.messages = queue.SimpleQueue()
        self.up = True
        threading.Thread(target=self._listen, daemon=True).start()
        self._ready()
        self.run(f"REPORT = {str(report)!r}" + COMMON.format(port=port) + CONTESTANTS[name])
        self.measure("essay", 100, 0)  # imports, the first connection

    def _ready(self):
        message = self.client.session.msg("kernel_info_request")
        self.client.shell_channel.send(message)
        self.client.get_shell_msg(timeout=60)
        request = self.client.session.msg("create_subshell_request")
        self.client.control_channel.send(request)
        with contextlib.suppress(queue.Empty):
            self.subshell = self.client.get_control_msg(timeout=10)["content"].get("subshell_id")

    def _listen(self):
        while self.up:
            if not self.iopub.poll(200):
                continue
            frames = self.iopub.recv_multipart()
            _, parts = self.client.session.feed_identities(frames)
            message = self.client.session.deserialize(parts)
            self.messages.put((message, sum(map(len, frames))))
            content = message["content"]
            if message["msg_type"] == "comm_open" and "_esm" in content["data"].get("state", {}):
                self._say(content["comm_id"], hello=1)
            custom = content["data"].get("content", {}) if message["msg_type"] == "comm_msg" else {}
            if "open" in custom:
                self._say(content["comm_id"], a=custom["a"], s={"drawn": 1})
            if "ping" in custom:
                self._say(content["comm_id"], here=1)

    def _say(self, comm_id, **what):
        content = {"comm_id": comm_id, "data": {"method": "custom", "content": what}}
        message = self.client.session.msg("comm_msg", content)
        if self.subshell:
            message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def run(self, code):
        """Run a cell; returns the bytes published for it, opening and closing of widgets left out."""
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": True}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": "bench"})
        self.client.shell_channel.send(message)
        published = 0
        while True:
            reply, size = self.messages.get(timeout=300)
            kind, content = reply["msg_type"], reply["content"]
            if kind == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if kind == "status" and content["execution_state"] == "idle":
                return published
            if kind not in ("status", "execute_input", "comm_open"):
                published += size

    def measure(self, name, chunks, per_s):
        """One answer: its figures."""
        published = self.run(f"measured({name!r}, {chunks}, {per_s})")
        time.sleep(0.3)
        found = json.loads(self.report.read_text())
        assert found["characters"] == chunks * SIZE, found
        return found | {"published": published, "ratio": published / len(answer(name, chunks).encode())}

    def close(self):
        self.up = False
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def table(fronts, text, chunks, per_s, rounds):
    """Measure all in turn, and print a line each."""
    pace = f"{per_s} chunks/s" if per_s else "in a burst"
    print(f"\n{text}: {chunks:,} chunks, {chunks * SIZE / 1000:.0f} kB, {pace}; median of {rounds}\n")
    print(f"{'':<40}{'iopub/text':>11}{'CPU, s':>9}{'CPU / SDK':>11}{'wall, s':>9}")
    found = {name: [] for name in fronts}
    for _ in range(rounds):
        for name, front in fronts.items():
            found[name].append(front.measure(text, chunks, per_s))
    for name, runs in found.items():
        ratio = statistics.median(run["cpu_s"] / bare["cpu_s"] for run, bare in zip(runs, found[BARE], strict=True))
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        cells = f"{middle['ratio']:>11,.2f}{middle['cpu_s']:>9.2f}{ratio:>11.2f}{middle['wall_s']:>9.1f}"
        print(f"{name:<40}{cells}", flush=True)


def growth(front, text, rounds):
    """How the published bytes of ours grow with the text: the exponent from 1,000 to 20,000 chunks."""
    sizes = (1_000, 5_000, 20_000)
    bytes_ = {n: statistics.median(front.measure(text, n, 0)["published"] for _ in range(rounds)) for n in sizes}
    exponent = math.log(bytes_[20_000] / bytes_[1_000]) / math.log(20)
    print(f"\namber_nb, bytes published: {', '.join(f'{n:,} chunks {b:,.0f}' for n, b in bytes_.items())}")
    print(f"growth exponent from 1,000 to 20,000 chunks: {exponent:.2f} (1: linear, 2: quadratic)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=5000)
    parser.add_argument("--paces", default="burst,100", help="chunks a second, or burst")
    parser.add_argument("--text", choices=TEXTS, default="essay")
    options = parser.parse_args()
    report = Path(tempfile.mkdtemp()) / "report.json"
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("streams.py")], stdout=subprocess.PIPE, text=True
    )
    fronts = {}
    try:
        port = int(server.stdout.readline())
        for name in CONTESTANTS:
            fronts[name] = Front(name, port, report)
        for pace in options.paces.split(","):
            per_s = 0 if pace == "burst" else int(pace)
            # At a pace, fewer chunks: what a chunk costs does not depend on how many there are – except for those who
            # send everything again, and the burst shows that.
            chunks = min(options.chunks, per_s * 10) if per_s else options.chunks
            table(fronts, options.text, chunks, per_s, options.rounds)
        growth(fronts["amber_nb"], options.text, options.rounds)
    finally:
        for front in fronts.values():
            front.close()
        server.terminate()
        server.wait(10)
        server.stdout.close()
        shutil.rmtree(report.parent)


if __name__ == "__main__":
    main()
