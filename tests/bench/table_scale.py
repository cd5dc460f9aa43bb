"""A map of many rows: rows a second against 2,000 rows, peak memory against the result, and rates and faults in time.

    python tests/bench/table_scale.py [scale|rate|faults] …

`scale` maps 2,000 and 100,000 rows, each in a fresh process with the ledger on, against the server of `tables.py`
(50 ms, 64 in flight): the rates are to differ by at most 10 %, and peak memory is to be at most 1.5 × the result's
frame + 150 MB. `rate` maps 1,250 rows at 600 requests a minute, and looks into the server's log: at most 612 in any
minute, at least 570. `faults` maps 2,000 rows on a server that fails one request in ten, in six ways: each row is to
end `ok` or `error` with its reason.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import tables

MANY = 100_000
PER_MINUTE, RATE_ROWS = 600, 1_250
FAULTS = ("429 with", "429 without", "500", "cut", "stall", "page")


class FaultyGateway(tables.Gateway):
    """One request in ten fails, in one of six ways."""

    draw = random.Random(3)

    def answer(self) -> None:
        kind = self.draw.choice(FAULTS) if self.draw.random() < 0.1 else ""
        if not kind or self.transport.is_closing():
            super().answer()
            return
        body = b"<html><title>Sign in</title></html>" if kind == "page" else b'{"error": {"message": "no"}}'
        status = {"4": 429, "5": 500}.get(kind[0], 200)
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head += "retry-after: 1\r\n\r\n" if kind == "429 with" else "\r\n"
        if kind == "stall":
            return
        if kind == "cut":
            self.transport.write(self.reply[:-20])
            self.transport.close()
            return
        self.transport.write(head.encode() + body)


class NotingGateway(tables.Gateway):
    """Notes when each request came; `/log` tells."""

    times: list[float] = []  # noqa: RUF012  – one log for all connections

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /log"):
            body = json.dumps(self.times).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            return
        self.times.append(time.monotonic())
        super().data_received(data)


async def serve(kind: type[tables.Gateway]) -> None:
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def run_rows(url: str, rows: int, **options: Any) -> dict[str, Any]:
    """Map so many rows in this process, and tell what it took."""
    pandas, amber_nb = importlib.import_module("pandas"), importlib.import_module("amber_nb")
    amber = amber_nb.Amber(base_url=url, api_key=tables.KEY, model=tables.MODEL)
    frame = pandas.DataFrame({"number": range(rows)})
    text = tables.prompt(0).replace(" 0 ", " {number} ")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), tables.cpu_s()
        options = {"concurrency": tables.IN_FLIGHT, "show": False, **options}
        result = amber.map(frame, text, ledger=f"{folder}/ledger.sqlite", **options)
        took, used = time.perf_counter() - started, tables.cpu_s() - cpu
    return {
        "rows_per_s": rows / took,
        "cpu_s": 1_000 * used / rows,
        "frame_mb": result.memory_usage(deep=True).sum() / 1e6,
        "before_mb": before / 1e3,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "status": result["status"].value_counts().to_dict(),
        "errors": result["error"].dropna().str[:60].value_counts().to_dict(),
        "ended": result.attrs["ended"],
        "requests": result.attrs["totals"]["requests"],
    }


def in_a_fresh_process(url: str, rows: int, options: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--rows", url, str(rows), json.dumps(options)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


def scale(url: str) -> None:
    few, many = (in_a_fresh_process(url, rows, {}) for rows in (tables.ROWS, MANY))
    again = in_a_fresh_process(url, tables.ROWS, {})
    base = max(few["rows_per_s"], again["rows_per_s"])
    for rows, found in ((tables.ROWS, few), (MANY, many), (tables.ROWS, again)):
        print(f"{rows:>8,} rows: {found['rows_per_s']:,.0f} rows/s, {found['cpu_s']:.2f} CPU s / 1,000 rows")
    limit = 1.5 * many["frame_mb"] + 150
    print(f"rate against {tables.ROWS:,} rows: {many['rows_per_s'] / base:.2f}   at least 0.90")
    print(f"the result {many['frame_mb']:.0f} MB; peak memory {many['peak_mb'] - many['before_mb']:.0f} MB more than "
          f"before the run ({many['before_mb']:.0f} MB)   at most {limit:.0f}")  # fmt: skip


def rate(url: str) -> None:
    found = in_a_fresh_process(url, RATE_ROWS, {"requests_per_minute": PER_MINUTE})
    httpx2 = importlib.import_module("httpx2")
    times = httpx2.get(f"{url.removesuffix('/v1')}/log").json()
    most = start = 0
    for end, at in enumerate(times):
        while at - times[start] >= 60:
            start += 1
        most = max(most, end - start + 1)
    used = (len(times) - 1) / (times[-1] - times[0]) * 60
    print(f"{len(times):,} requests at {PER_MINUTE} a minute: at most {most} in a minute (≤ 612), "
          f"{used:.0f} a minute on average (≥ 570); {found['status']}")  # fmt: skip


def faults(url: str) -> None:
    found = in_a_fresh_process(url, tables.ROWS, {"timeout_s": 2})
    print(f"{tables.ROWS:,} rows, one request in ten fails ({', '.join(FAULTS)}): {found['status']}, "
          f"{found['requests']:,} requests, {found['rows_per_s']:.0f} rows/s, ended: {found['ended']}")  # fmt: skip
    for reason, count in found["errors"].items():
        print(f"  {count} × {reason}")


GATEWAYS = {"scale": tables.Gateway, "rate": NotingGateway, "faults": FaultyGateway}


def main() -> None:
    for name in sys.argv[1:] or list(GATEWAYS):
        server = subprocess.Popen([sys.executable, __file__, "--serve", name], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            {"scale": scale, "rate": rate, "faults": faults}[name](server.stdout.readline().strip())
        finally:
            server.terminate()
            server.wait(10)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve(GATEWAYS[sys.argv[2]]))
    elif "--rows" in sys.argv:
        print(json.dumps(run_rows(sys.argv[2], int(sys.argv[3]), **json.loads(sys.argv[4]))))
    else:
        main()
