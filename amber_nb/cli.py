"""The command `amber-nb`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import amber_nb

from . import clock, config, login, simulator, testing
from .errors import AmberError
from .map.command import add_ledger_command

__all__ = ["main"]

LAB = ("jupyterlab", "nbconvert", "ipykernel", "matplotlib")
# Lab asks its project for news and the package index for updates, unless told not to: nobody asked for either. And it
# asks the reader whether it may, unless a setting has decided that.
QUIET_LAB = ("--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
QUIET_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
# nbconvert's page would fetch these from a CDN.
FETCHED = ("require_js_url", "mathjax_url", "mermaid_js_url", "mermaid_layout_elk_js_url", "jquery_url")
QUIET_PAGE = tuple(f"--HTMLExporter.{name}=" for name in FETCHED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status (0 done, 1 failed, 2 not understood)."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (AmberError, OSError, EOFError) as error:
        message = "nobody is there to type an answer" if isinstance(error, EOFError) else error
        print(f"amber-nb: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="amber-nb", description="The amber gateway in Jupyter.")
    parser.add_argument("--version", action="version", version=f"amber_nb {amber_nb.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="open the notebooks in JupyterLab, answered by the simulator: no key needed"
    )
    demo.add_argument(
        "dir", nargs="?", type=Path, default=Path("amber-notebooks"), help="where they go (default: %(default)s)"
    )
    demo.add_argument(
        "--headless", action="store_true", help="run them all and write HTML pages instead; needs no screen"
    )
    demo.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    demo.add_argument("--port", type=int, help="of JupyterLab (default: 8888 or the next that is free)")
    demo.set_defaults(run=_demo)

    notebooks = commands.add_parser("notebooks", help="copy the notebooks, for those already inside a JupyterHub")
    notebooks.add_argument("dir", type=Path, help="folder for your copies; those already there stay as they are")
    notebooks.set_defaults(run=_notebooks)

    simulate = commands.add_parser(
        "simulate",
        help="serve the stand-in gateway over HTTP on 127.0.0.1",
        epilog="The model fault/<name> answers with a fault; --list-faults shows them.",
    )
    simulate.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    simulate.add_argument("--dialect", choices=("openai", "litellm"), default="openai", help="whose habits to show")
    simulate.add_argument("--chunks-per-s", type=float, help="pace of a streamed reply, 0 for no waiting")
    simulate.add_argument(
        "--drift", type=int, help="above 0: as a model that has changed since, another for each number"
    )
    simulate.add_argument("--list-faults", action="store_true", help="print the faults by name, and serve nothing")
    simulate.set_defaults(run=_simulate)

    record = commands.add_parser(
        "record", help="run notebooks whole against your gateway; keep outputs and cassette, or neither if a cell fails"
    )
    record.add_argument("notebook", nargs="+", type=Path)
    _add_kernel_options(record)
    record.set_defaults(run=lambda options: _each(options, lambda: options.notebook, "record"))

    bless = commands.add_parser("bless", help="record again what has drifted: what comes now is right from now on")
    bless.add_argument("notebook", nargs="+", type=Path, help="or the .json of a drift report, for all it found")
    _add_kernel_options(bless)
    bless.set_defaults(run=_bless)

    login = commands.add_parser("login", help="store domain and key in the system's keyring")
    login.set_defaults(run=_login)
    add_ledger_command(commands)
    return parser


def _add_kernel_options(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group()
    which.add_argument("--kernel", metavar="NAME", help="run with this kernel instead of the notebook's own")
    which.add_argument(
        "--current-env", action="store_true", help="run with this Python, whatever the notebook's kernel is called"
    )


def _demo(options: argparse.Namespace) -> int:
    missing = [name for name in LAB if find_spec(name) is None]
    if missing:
        print(
            f"amber-nb: {', '.join(missing)} missing. Install the extra: pip install 'amber_nb[lab]'", file=sys.stderr
        )
        return 1
    copied = _copy(options.dir)
    count = sum(path.suffix == ".ipynb" for path in copied)
    done = f"{count} notebook{'' if count == 1 else 's'} copied to {options.dir}"
    print(done if count else f"The notebooks in {options.dir} stay as they are")
    return _run_all(options.dir) if options.headless else _lab(options)


def _lab(options: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "jupyterlab", str(sorted(options.dir.glob("*.ipynb"))[0]), *QUIET_LAB]
    if options.no_browser:
        command.append("--no-browser")
    if options.port is not None:
        command.append(f"--port={options.port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container there is nobody else; Lab still listens on this machine only
    with tempfile.TemporaryDirectory(prefix="amber-nb-") as name:
        settings = Path(name) / "labconfig" / "default_setting_overrides.json"
        settings.parent.mkdir()
        settings.write_text(json.dumps(QUIET_SETTINGS), encoding="utf-8")
        environment = config.child_environment(AMBER_MODE="simulate")
        paths = [environment.get("JUPYTER_CONFIG_PATH"), name]  # the user's own come first
        environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(path for path in paths if path)
        lab = subprocess.Popen(command, env=environment)
        signal.signal(signal.SIGTERM, lambda *_: lab.terminate())  # else Lab would outlive us
        while True:
            try:
                return lab.wait()
            except KeyboardInterrupt:
                continue  # Lab got it too, and asks whether to shut down


def _run_all(directory: Path) -> int:
    notebooks = sorted(directory.glob("*.ipynb"))
    failed = False
    with ThreadPoolExecutor(max_workers=2) as pool:  # each is a process and a kernel
        for done, line in pool.map(_run_one, notebooks):
            print(line, flush=True)
            failed |= not done
    return int(failed)


def _run_one(notebook: Path) -> tuple[bool, str]:
    pages = notebook.parent / "pages"
    environment = config.child_environment(AMBER_MODE="simulate", AMBER_DISPLAY="static", AMBER_SIM_CHUNKS_PER_S="0")
    started = clock.monotonic()
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", "--log-level", "ERROR", *QUIET_PAGE]
    command += ["--output-dir", str(pages), str(notebook)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    took = f"{clock.monotonic() - started:.1f} s"
    if done.returncode == 0:
        return True, f"ok      {notebook.name}  {took}  {pages / notebook.with_suffix('.html').name}"
    return False, f"FAILED  {notebook.name}  {took}\n{done.stderr.strip()}"


def _notebooks(options: argparse.Namespace) -> int:
    copied = _copy(options.dir)
    for path in copied:
        print(path)
    if not copied:
        print(f"Nothing to copy: {options.dir} has them already, and yours are never overwritten.", file=sys.stderr)
    return 0


def _copy(directory: Path) -> list[Path]:
    package = Path(amber_nb.__file__).parent
    # In the wheel they lie inside the package, in a checkout beside it.
    home = next(place for place in (package / "notebooks", package.parent / "notebooks") if place.is_dir())
    copied = []
    for source in (*sorted(home.glob("*.ipynb")), *sorted(home.glob("data/[!.]*"))):  # what they read, too
        if not source.is_file():  # an installer leaves bytecode beside a module
            continue
        target = directory / source.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:  # never over a notebook that somebody has worked in
                file.write(source.read_bytes())
        except FileExistsError:
            continue
        copied.append(target)
    return copied


def _simulate(options: argparse.Namespace) -> int:
    if options.list_faults:
        width = max(map(len, simulator.FAULTS))
        for name, fault in simulator.FAULTS.items():
            print(f"fault/{name:{width}}  {fault.description}")
        return 0
    pace = config.read_simulator_pace() if options.chunks_per_s is None else options.chunks_per_s
    drift = config.read_simulator_drift() if options.drift is None else max(0, options.drift)
    log = partial(print, file=sys.stderr, flush=True)
    server = simulator.Server(port=options.port, dialect=options.dialect, chunks_per_s=pace, drift=drift, log=log)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(server.base_url, flush=True)
    print(f"For amber_nb: AMBER_BASE_URL={server.base_url} AMBER_API_KEY={config.SIMULATOR_KEY}", file=sys.stderr)
    print(f"For others: any key that begins with ambrs-, such as {config.SIMULATOR_KEY}", file=sys.stderr)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    finally:
        server.close()
    return 0


def _bless(options: argparse.Namespace) -> int:
    def find() -> list[Path]:
        named = [[path] if path.suffix != ".json" else testing.list_drifted(path) for path in options.notebook]
        return [path for paths in named for path in paths]

    return _each(options, find, "bless")


def _each(options: argparse.Namespace, find: Callable[[], Sequence[Path]], name: str) -> int:
    try:
        work: Callable[..., testing.Result] = getattr(testing, name)
        notebooks = find()
    except ModuleNotFoundError as error:
        print(
            f"amber-nb: this needs {(error.name or '').partition('.')[0]}: pip install 'amber_nb[lab]'", file=sys.stderr
        )
        return 1
    failed = 0
    for notebook in notebooks:
        try:
            environment = config.child_environment()
            result = work(notebook, environment, options.kernel, current_env=options.current_env)
        except testing.UnknownKernel as error:
            print(f"amber-nb: {error}", file=sys.stderr)
            failed = 2
        except AmberError as error:  # the others may still be recorded
            print(f"amber-nb: {error}", file=sys.stderr)
            failed = failed or 1
        else:
            for line in testing.format_result(result):
                print(line)
    return failed


def _login(_: argparse.Namespace) -> int:
    settings = login.login()
    print(f"Stored for {settings.base_url}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
