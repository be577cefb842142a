"""The commands of `gglocal`, except those of `greengrass_cli`."""

from __future__ import annotations

import argparse
import base64
import json
import logging
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from gglocal import message_plugins
from gglocal.api.control_server import send_request
from gglocal.api.nucleus import Nucleus
from gglocal.cli import greengrass_cli
from gglocal.cli.format import details, fault_line, message_lines, published, table
from gglocal.cli.greengrass_cli import merge_versions
from gglocal.cli.output import Printer, PrinterHandler
from gglocal.deployment.resolver import configuration_updates
from gglocal.errors import EXIT_BROKEN, EXIT_OK, EXIT_TIMEOUT, DeploymentError, NucleusError
from gglocal.ipc.operations import SERVICES
from gglocal.payload_text import is_pip_progress
from gglocal.process.component import BROKEN, FINISHED
from gglocal.profile import PROFILES
from gglocal.recipe.lint import IGNORED, lint_file
from gglocal.recipe.parser import SUFFIXES, read_document
from gglocal.root_dir import Root, default_root
from gglocal.topic_filter import is_wild

log = logging.getLogger("gglocal")

_FOLLOW_S = 0.1
_POLL_S = 0.2
_STDOUT, _STDERR = 1, 2


def run(options: argparse.Namespace) -> int:
    """Deploy, and run in the foreground until a signal, `--timeout`, or with `--exit-when-finished` until all components end."""
    wake, printer = threading.Event(), Printer(_STDOUT)
    nucleus = Nucleus(
        options.root,
        profile=options.profile,
        shim=options.shim,
        thing_name=options.thing_name,
        region=options.region,
        iot_core=options.iot_core,
        error_reset=options.error_reset,
        echo=None if options.quiet else partial(_echo, printer, options.verbose),
    )
    with closing(printer), _logging_to_stderr(options.verbose), _signals_set(wake), nucleus:
        names = nucleus.deploy(
            options.recipe_dir, options.artifact_dir, merge_versions(options.merge), _configuration(options), configured_as_roots=True
        )
        log.info("deployed %s in %s; press Ctrl-C to stop", ", ".join(names), nucleus.root.path)
        timed_out = not _wait(nucleus, wake, options)
        broken = [status for status in nucleus.components() if status.state == BROKEN]
    for status in broken:
        print(f"gglocal: {status.name} is BROKEN: {status.detail}", file=sys.stderr)
    if broken:
        return EXIT_BROKEN
    if timed_out and options.exit_when_finished:
        print(f"gglocal: not all components finished within {options.timeout:g} s", file=sys.stderr)
        return EXIT_TIMEOUT
    return EXIT_OK


def deploy(options: argparse.Namespace) -> int:
    request = {
        "command": "deploy",
        "recipe_dirs": [str(Path(each).absolute()) for each in options.recipe_dir],
        "artifact_dirs": [str(Path(each).absolute()) for each in options.artifact_dir],
        "merge": merge_versions(options.merge),
        "config": _configuration(options),
    }
    for names in send_request(Root(options.root), request):
        print("deployed: " + ", ".join(names))
    for name in request["config"]:
        print(f"to check whether {name} accepted its configuration: {_command_line(options, 'logs', name)}", file=sys.stderr)
    return EXIT_OK


def component_list(options: argparse.Namespace) -> int:
    return _print_statuses(list(send_request(Root(options.root), {"command": "components"})), options)


def component_details(options: argparse.Namespace) -> int:
    for name in _names(options):
        found = list(send_request(Root(options.root), {"command": "components", "name": name}))
        print(json.dumps(found[0]) if options.json else details(found[0]))
    return EXIT_OK


def component_restart(options: argparse.Namespace) -> int:
    return _print_statuses(
        [each for name in _names(options) for each in send_request(Root(options.root), {"command": "restart", "name": name})], options
    )


def component_stop(options: argparse.Namespace) -> int:
    return _print_statuses(
        [each for name in _names(options) for each in send_request(Root(options.root), {"command": "stop", "name": name})], options
    )


def logs(options: argparse.Namespace) -> int:
    folder = Root(options.root).logs
    if options.name == "get":
        greengrass_cli.get_logs(folder, options.filter, options.follow, options.lines, print)
        return EXIT_OK
    path = Root(options.root).log_file(options.name)
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.log"))) or "none"
        raise NucleusError(f"{options.root}: no log of {options.name} found; components with a log: {known}")
    with path.open(encoding="utf-8") as file:
        lines = file.readlines()
        sys.stdout.writelines(lines if options.lines is None else lines[max(0, len(lines) - options.lines) :])
        while options.follow:
            sys.stdout.flush()
            more = file.read()
            sys.stdout.write(more)
            if not more:
                time.sleep(_FOLLOW_S)
    return EXIT_OK


def pub(options: argparse.Namespace) -> int:
    request: dict[str, Any] = {"command": "publish", "topic": options.topic, "iot": options.iot}
    if (options.payload is None) == (options.file is None):
        raise NucleusError("pub requires either PAYLOAD or --file FILE")
    if options.file is not None:
        payload = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    else:
        payload = options.payload.encode()
    signed = options.sign or options.key is not None
    if signed and (options.json or options.iot):
        raise NucleusError("only a binary local message can be signed; omit --json and --iot")
    if is_wild(options.topic) or not options.topic:
        raise NucleusError(f"{options.topic!r} is not a topic; publish to one topic, without + and #")
    if options.json:
        try:
            request["json"] = json.loads(payload)
        except ValueError as error:
            raise NucleusError(f"the payload is not valid JSON ({error}); omit --json to publish it unchanged") from None
    elif options.base64:
        try:
            payload = base64.b64decode(payload, validate=True)
        except ValueError:
            raise NucleusError("the payload is not valid base64; omit --base64 to publish it unchanged") from None
    if signed and (reason := message_plugins.rejection(options.topic, payload)):
        raise NucleusError(f"the message was not signed and not published: {reason}")
    if signed:
        payload = message_plugins.sign(options.topic, payload, key_file=options.key, work_dirs=Root(options.root).work)
    if not options.json:
        request["payload"] = base64.b64encode(payload).decode()
    for answer in send_request(Root(options.root), request, timeout=30):
        print(published(answer), file=sys.stderr)
    return EXIT_OK


def sub(options: argparse.Namespace) -> int:
    request = {"command": "subscribe", "filter": options.filter, "iot": options.iot}
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    received = 0
    for answer in _take_until(send_request(Root(options.root), request, timeout=options.timeout), deadline):
        if "subscribed" in answer:
            print(f"subscribed to {answer['subscribed']}", file=sys.stderr, flush=True)
            continue
        print(*message_lines(answer, options.json, options.base64), sep="\n", flush=True)
        received += 1
        if options.count is not None and received >= options.count:
            return EXIT_OK
    expected = "" if options.count is None else f" of {options.count}"
    print(f"gglocal: {received}{expected} messages received within {options.timeout:g} s", file=sys.stderr)
    return EXIT_OK if options.count is None else EXIT_TIMEOUT


def fault(options: argparse.Namespace) -> int:
    root = Root(options.root)
    if options.end is not None:
        list(send_request(root, {"command": "end-fault", "number": None if options.end == "all" else options.end}))
        return EXIT_OK
    if options.name is None:
        active = list(send_request(root, {"command": "faults"}))
        print("\n".join(fault_line(each) for each in active) if active else "no active faults")
        return EXIT_OK
    arguments = dict(pair.partition("=")[::2] for pair in options.options)
    for answer in send_request(root, {"command": "fault", "name": options.name, "options": arguments}):
        print(f"{fault_line(answer)}: {answer['effect']}")
    return EXIT_OK


def lint(options: argparse.Namespace) -> int:
    problems, notes = [], []
    for place in map(Path, options.recipes):
        paths = sorted(each for each in place.iterdir() if each.suffix in SUFFIXES) if place.is_dir() else [place]
        for path in paths:
            problems += lint_file(path, services=SERVICES)
            notes += lint_file(path, kinds=(IGNORED,), services=SERVICES)
    for note in notes:
        if note not in problems:
            print(f"note: {note}", file=sys.stderr)
    for problem in problems:
        print(problem)
    return EXIT_BROKEN if problems else EXIT_OK


def _take_until(answers: Iterator[Any], deadline: float | None) -> Iterator[Any]:
    try:
        for answer in answers:
            yield answer
            if deadline is not None and time.monotonic() >= deadline:
                return
    except TimeoutError:
        return


def _wait(nucleus: Nucleus, wake: threading.Event, options: argparse.Namespace) -> bool:
    """Wait until a signal or the end of all components; False: the timeout expired."""
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    while not wake.is_set():
        if options.exit_when_finished:
            states = {status.state for status in nucleus.components()}
            if states <= {FINISHED, BROKEN} or BROKEN in states:
                return True
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            return False
        wake.wait(_POLL_S if remaining is None else min(remaining, _POLL_S))
    return True


def _names(options: argparse.Namespace) -> list[str]:
    names = [name for each in (options.name, options.names) if each for name in each.split(",")]
    if not names:
        raise NucleusError("no component named; pass NAME, or --names com.example.A,com.example.B")
    return names


def _configuration(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    if options.config is None:
        return {}
    if options.config.lstrip().startswith("{"):
        try:
            return configuration_updates(json.loads(options.config), "--config")
        except ValueError as error:
            raise DeploymentError(f"--config is not valid JSON ({error}); pass JSON, or the name of a file") from None
    path = Path(options.config)
    profile = PROFILES[getattr(options, "profile", "lite")]
    return configuration_updates(read_document(path, text_scalars=profile.text_scalars), str(path))


def _print_statuses(statuses: list[dict[str, Any]], options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(statuses))
    else:
        print("\n".join(table(statuses)) if statuses else "no components deployed")
    return EXIT_OK


def _echo(printer: Printer, verbose: bool, name: str, line: str) -> None:
    if verbose or not is_pip_progress(line):  # the component's log contains it
        printer.put(f"[{name}] {line}")


def _command_line(options: argparse.Namespace, *words: str) -> str:
    """A gglocal command line for the same nucleus."""
    root = () if options.root == default_root() else ("--root", str(options.root))
    return shlex.join(["gglocal", *words, *root])


@contextmanager
def _logging_to_stderr(verbose: bool) -> Iterator[None]:
    printer = Printer(_STDERR)
    handler = PrinterHandler(printer)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        printer.close()


@contextmanager
def _signals_set(wake: threading.Event) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: wake.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
