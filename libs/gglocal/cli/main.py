"""`gglocal`: run recipes on a local nucleus, and talk to one that runs."""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from gglocal import message_plugins
from gglocal.api.control_server import ask
from gglocal.api.nucleus import Nucleus
from gglocal.cli import greengrass_cli
from gglocal.cli.arguments import LONGEST_S, number, whole
from gglocal.cli.format import details, fault_line, heard_lines, published, table
from gglocal.cli.greengrass_cli import merged
from gglocal.cli.output import Printer, PrinterHandler
from gglocal.deployment.resolver import configuration_updates
from gglocal.errors import EXIT_BROKEN, EXIT_OK, EXIT_TIMEOUT, EXIT_USAGE, DeploymentError, GglocalError, NucleusError
from gglocal.faults import FAULTS
from gglocal.faults.base import usage
from gglocal.payload_text import is_pip_progress
from gglocal.process.component import BROKEN, FINISHED
from gglocal.profile import PROFILES
from gglocal.recipe.lint import IGNORED, lint_file
from gglocal.recipe.parser import SUFFIXES, read_document
from gglocal.root_dir import Root, default_root
from gglocal.topic_filter import is_wild

log = logging.getLogger("gglocal")

_FOLLOW_S = 0.1
_STDOUT, _STDERR = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(options.command(options))
    except (GglocalError, ValueError) as fault:
        print(f"gglocal: {fault}", file=sys.stderr)
        return EXIT_USAGE
    except TimeoutError as fault:
        print(f"gglocal: {fault}", file=sys.stderr)
        return EXIT_TIMEOUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as fault:
        print(f"gglocal: {fault.filename or options.root}: {fault.strerror or fault}; name another file or folder", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 130


def run(options: argparse.Namespace) -> int:
    """Deploy, and stay in the foreground until a signal, `--timeout`, or with `--exit-when-finished` the end of all."""
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
        names = nucleus.deploy(options.recipe_dir, options.artifact_dir, merged(options.merge), _updates(options), configured_as_roots=True)
        log.info("deployed %s in %s; Ctrl-C stops it", ", ".join(names), nucleus.root.path)
        timed_out = not _wait(nucleus, wake, options)
        broken = [status for status in nucleus.components() if status.state == BROKEN]
    for status in broken:
        print(f"gglocal: {status.name} is BROKEN: {status.detail}", file=sys.stderr)
    if broken:
        return EXIT_BROKEN
    if timed_out and options.exit_when_finished:
        print(f"gglocal: not everything has finished within {options.timeout:g} s", file=sys.stderr)
        return EXIT_TIMEOUT
    return EXIT_OK


def deploy(options: argparse.Namespace) -> int:
    request = {
        "do": "deploy",
        "recipe_dirs": [str(Path(each).absolute()) for each in options.recipe_dir],
        "artifact_dirs": [str(Path(each).absolute()) for each in options.artifact_dir],
        "merge": merged(options.merge),
        "config": _updates(options),
    }
    for names in ask(Root(options.root), request):
        print("deployed: " + ", ".join(names))
    for name in request["config"]:
        print(f"whether {name} accepts its configuration, it says itself: {_hint(options, 'logs', name)}", file=sys.stderr)
    return EXIT_OK


def component_list(options: argparse.Namespace) -> int:
    return _show(list(ask(Root(options.root), {"do": "components"})), options)


def component_details(options: argparse.Namespace) -> int:
    for name in _names(options):
        found = list(ask(Root(options.root), {"do": "components", "name": name}))
        print(json.dumps(found[0]) if options.json else details(found[0]))
    return EXIT_OK


def component_restart(options: argparse.Namespace) -> int:
    return _show([each for name in _names(options) for each in ask(Root(options.root), {"do": "restart", "name": name})], options)


def component_stop(options: argparse.Namespace) -> int:
    return _show([each for name in _names(options) for each in ask(Root(options.root), {"do": "stop", "name": name})], options)


def logs(options: argparse.Namespace) -> int:
    folder = Root(options.root).logs
    if options.name == "get":
        greengrass_cli.get_logs(folder, options.filter, options.follow, options.lines, print)
        return EXIT_OK
    path = Root(options.root).log_of(options.name)
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.log"))) or "none"
        raise NucleusError(f"{options.root}: there is no log of {options.name}; there are logs of {known}")
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
    request: dict[str, Any] = {"do": "publish", "topic": options.topic, "iot": options.iot}
    if (options.payload is None) == (options.file is None):
        raise NucleusError("pub takes either PAYLOAD or --file FILE")
    if options.file is not None:
        payload = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    else:
        payload = options.payload.encode()
    signed = options.sign or options.key is not None
    if signed and (options.json or options.iot):
        raise NucleusError("only a binary local message can be signed; leave out --json and --iot")
    if is_wild(options.topic) or not options.topic:
        raise NucleusError(f"{options.topic!r} is a filter, not a topic; a message goes to one topic, without + and #")
    if options.json:
        try:
            request["json"] = json.loads(payload)
        except ValueError as fault:
            raise NucleusError(f"the payload is no JSON ({fault}); leave --json out to send it is") from None
    elif options.base64:
        try:
            payload = base64.b64decode(payload, validate=True)
        except ValueError:
            raise NucleusError("the payload is no base64; leave --base64 out to send it is") from None
    if signed and (reason := message_plugins.rejection(options.topic, payload)):
        raise NucleusError(f"the message was not signed and not published: {reason}")
    if signed:
        payload = message_plugins.sign(options.topic, payload, key_file=options.key, work_dirs=Root(options.root).work)
    if not options.json:
        request["payload"] = base64.b64encode(payload).decode()
    for answer in ask(Root(options.root), request, timeout=30):
        print(published(answer), file=sys.stderr)
    return EXIT_OK


def sub(options: argparse.Namespace) -> int:
    request = {"do": "subscribe", "filter": options.filter, "iot": options.iot}
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    heard = 0
    for answer in _until(ask(Root(options.root), request, timeout=options.timeout), deadline):
        if "subscribed" in answer:
            print(f"subscribed to {answer['subscribed']}", file=sys.stderr, flush=True)
            continue
        print(*heard_lines(answer, options.json, options.base64), sep="\n", flush=True)
        heard += 1
        if options.count is not None and heard >= options.count:
            return EXIT_OK
    wanted = "" if options.count is None else f" of {options.count}"
    print(f"gglocal: {heard}{wanted} messages came within {options.timeout:g} s", file=sys.stderr)
    return EXIT_OK if options.count is None else EXIT_TIMEOUT


def fault(options: argparse.Namespace) -> int:
    root = Root(options.root)
    if options.end is not None:
        list(ask(root, {"do": "end-fault", "number": None if options.end == "all" else options.end}))
        return EXIT_OK
    if options.name is None:
        active = list(ask(root, {"do": "faults"}))
        print("\n".join(fault_line(each) for each in active) if active else "no fault is active")
        return EXIT_OK
    given = dict(pair.partition("=")[::2] for pair in options.options)
    for answer in ask(root, {"do": "fault", "name": options.name, "options": given}):
        print(f"{fault_line(answer)}: {answer['effect']}")
    return EXIT_OK


def lint(options: argparse.Namespace) -> int:
    faults, notes = [], []
    for given in map(Path, options.recipes):
        paths = sorted(each for each in given.iterdir() if each.suffix in SUFFIXES) if given.is_dir() else [given]
        for path in paths:
            faults += lint_file(path)
            notes += lint_file(path, kinds=(IGNORED,))
    for note in notes:
        if note not in faults:
            print(f"note: {note}", file=sys.stderr)
    for fault in faults:
        print(fault)
    return EXIT_BROKEN if faults else EXIT_OK


def _until(answers: Iterator[Any], deadline: float | None) -> Iterator[Any]:
    try:
        for answer in answers:
            yield answer
            if deadline is not None and time.monotonic() >= deadline:
                return
    except TimeoutError:
        return


def _wait(nucleus: Nucleus, wake: threading.Event, options: argparse.Namespace) -> bool:
    """Until a signal or the end; False: the time was up."""
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    while not wake.is_set():
        if options.exit_when_finished:
            states = {status.state for status in nucleus.components()}
            if states <= {FINISHED, BROKEN} or BROKEN in states:
                return True
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        wake.wait(min(left if left is not None else 0.2, 0.2))
    return True


def _names(options: argparse.Namespace) -> list[str]:
    names = [name for each in (options.name, options.names) if each for name in each.split(",")]
    if not names:
        raise NucleusError("name a component, or several: --names com.example.A,com.example.B")
    return names


def _updates(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    if options.config is None:
        return {}
    if options.config.lstrip().startswith("{"):
        try:
            return configuration_updates(json.loads(options.config), "--config")
        except ValueError as fault:
            raise DeploymentError(f"--config is no JSON ({fault}); give JSON, or the name of a file") from None
    path = Path(options.config)
    profile = PROFILES[getattr(options, "profile", "lite")]
    return configuration_updates(read_document(path, text_scalars=profile.text_scalars), str(path))


def _show(statuses: list[dict[str, Any]], options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(statuses))
    else:
        print("\n".join(table(statuses)) if statuses else "no component is deployed")
    return EXIT_OK


def _echo(printer: Printer, verbose: bool, name: str, line: str) -> None:
    if verbose or not is_pip_progress(line):  # the component's log has all of it
        printer.put(f"[{name}] {line}")


def _hint(options: argparse.Namespace, *words: str) -> str:
    """A command line for the same nucleus."""
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gglocal", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _run_options(_command(commands, "run", run, "start a nucleus in the foreground and deploy to it"))
    _deployment_options(_command(commands, "deploy", deploy, "deploy to the nucleus that runs"))
    component = commands.add_parser("component", help="list, details, restart, stop").add_subparsers(required=True, metavar="WHAT")
    for name, command, text in (
        ("list", component_list, "a line for each component"),
        ("details", component_details, "all about one component"),
        ("restart", component_restart, "stop and start one component"),
        ("stop", component_stop, "stop one component"),
    ):
        sub_parser = _command(component, name, command, text)
        sub_parser.add_argument("--json", action="store_true", help="as JSON")
        if name != "list":
            sub_parser.add_argument("name", metavar="NAME", nargs="?", help="the component")
            sub_parser.add_argument("--names", "--name", "-n", metavar="NAME,…", help="components, as greengrass-cli takes them")
    deployment = commands.add_parser("deployment", help="create, status, list").add_subparsers(required=True, metavar="WHAT")
    create = _command(
        deployment, "create", greengrass_cli.deployment_create, "change what is deployed, with rollback on failure on classic"
    )
    _directory_options(create)
    greengrass_cli.create_options(create)
    about = _command(deployment, "status", greengrass_cli.deployment_status, "what became of a deployment")
    about.add_argument("--deploymentId", "-i", metavar="ID", required=True)
    _command(deployment, "list", greengrass_cli.deployment_list, "the deployments, the newest first")
    tail = _command(commands, "logs", logs, "the log of a component")
    tail.add_argument("name", metavar="NAME", help="the component; get: all of them, as greengrass-cli does")
    tail.add_argument("--filter", action="append", default=[], help="with get: regular expressions or levels, commas between alternatives")
    tail.add_argument("-f", "--follow", action="store_true", help="go on with what is appended")
    tail.add_argument("-n", "--lines", type=whole(0, 10**9), help="the last N lines only")
    publish = _command(commands, "pub", pub, "publish a message")
    publish.add_argument("topic", metavar="TOPIC")
    publish.add_argument("payload", metavar="PAYLOAD", nargs="?")
    publish.add_argument("--file", help="the payload is in a file; - for standard input")
    publish.add_argument("--base64", action="store_true", help="the payload is base64 of what is to be sent")
    publish.add_argument("--json", action="store_true", help="send a JSON message, not a binary one")
    publish.add_argument("--iot", action="store_true", help="to IoT Core, as the cloud does")
    publish.add_argument("--sign", action="store_true", help="sign it with the key that the components have created")
    publish.add_argument("--key", type=Path, metavar="FILE", help="sign it with the key in this file")
    subscribe = _command(commands, "sub", sub, "print messages as they come")
    subscribe.add_argument("filter", metavar="FILTER", help="an MQTT topic filter")
    subscribe.add_argument("--count", type=whole(1, 10**9), help="end after so many messages")
    subscribe.add_argument("--timeout", type=number(0, LONGEST_S), help="end after so many seconds; exit code 3 if --count was not reached")
    subscribe.add_argument("--json", action="store_true", help="an object a line: topic, payload (base64), text, value, sender, at")
    subscribe.add_argument("--base64", action="store_true", help="payloads as base64")
    subscribe.add_argument("--iot", action="store_true", help="messages of IoT Core")
    known = [f"{name}: {each.effect}; options: {usage(each.options)}" for name, each in FAULTS.items()]
    disturb = _command(commands, "fault", fault, "bring about a fault; without NAME: which are active", epilog="\n".join(known))
    disturb.add_argument("name", metavar="NAME", nargs="?", choices=list(FAULTS), help="one of those below")
    disturb.add_argument("options", metavar="KEY=VALUE", nargs="*", help="its options")
    disturb.add_argument("--end", metavar="NUMBER|all", type=_fault_number, help="end what lasts, by the number that it was given")
    check = _command(commands, "lint", lint, "what Nucleus Lite refuses in recipes")
    check.add_argument("recipes", nargs="+", metavar="FILE", help="recipes, or directories of them")
    return parser


def _fault_number(text: str) -> int | str:
    return "all" if text == "all" else whole(0, 10**9)(text)


def _command(
    commands: Any, name: str, command: Callable[[argparse.Namespace], int], text: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=command)
    parser.add_argument("--root", type=Path, default=default_root(), help="folder of the nucleus (default $GGLOCAL_ROOT or ./.gglocal)")
    return parser


def _directory_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe-dir", "--recipeDir", action="append", default=[], metavar="DIR", help="holds recipes; may be repeated")
    parser.add_argument(
        "--artifact-dir", "--artifactDir", action="append", default=[], metavar="DIR", help="holds NAME/VERSION/files; may be repeated"
    )
    parser.add_argument("--merge", "-m", action="append", default=[], metavar="NAME=VERSION", help="what to deploy; may be repeated")


def _deployment_options(parser: argparse.ArgumentParser) -> None:
    _directory_options(parser)
    parser.add_argument("--config", metavar="FILE|JSON", help='configuration updates: {"NAME": {"merge": {...}, "reset": ["/pointer"]}}')


def _run_options(parser: argparse.ArgumentParser) -> None:
    _deployment_options(parser)
    parser.add_argument("--profile", choices=list(PROFILES), default="lite", help="the nucleus that it stands for (default lite)")
    parser.add_argument("--iot-core", default="recorder", metavar="URL", help="recorder, recorder:FILE or mqtt://host:port")
    parser.add_argument(
        "--error-reset",
        type=number(0, LONGEST_S),
        default=3600.0,
        metavar="SECONDS",
        help="three errors, each within this of the last, break a component",
    )
    parser.add_argument("--thing-name", default="gglocal", help="AWS_IOT_THING_NAME (default gglocal)")
    parser.add_argument("--region", default="us-east-1", help="AWS_REGION (default us-east-1)")
    parser.add_argument("--shim", action="store_true", help="make the faults disk-full and clock-step possible; needs a C compiler")
    parser.add_argument("--exit-when-finished", action="store_true", help="end when all are FINISHED, or one is BROKEN")
    parser.add_argument("--timeout", type=number(0, LONGEST_S), metavar="SECONDS", help="end after so long")
    parser.add_argument("--quiet", action="store_true", help="do not print what the components write")
    parser.add_argument("--verbose", action="store_true", help="log more, and print what pip tells of its progress")


if __name__ == "__main__":
    sys.exit(main())
