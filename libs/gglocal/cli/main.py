"""The command line of gglocal: the parser. The commands are in `gglocal.cli.commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gglocal.cli import commands, greengrass_cli
from gglocal.cli.arguments import MAX_SECONDS, number, whole
from gglocal.errors import EXIT_OK, EXIT_TIMEOUT, EXIT_USAGE, GglocalError
from gglocal.faults import FAULTS
from gglocal.faults.base import usage
from gglocal.profile import PROFILES
from gglocal.root_dir import default_root

DESCRIPTION = "A local Greengrass nucleus: run component recipes on this machine, and inspect, update and test them."
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(options.command(options))
    except (GglocalError, ValueError) as error:
        print(f"gglocal: {error}", file=sys.stderr)
        return EXIT_USAGE
    except TimeoutError as error:
        print(f"gglocal: {error}", file=sys.stderr)
        return EXIT_TIMEOUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        print(f"gglocal: {error.filename or options.root}: {error.strerror or error}; check the path", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gglocal", description=DESCRIPTION)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(subparsers)
    _add_deploy(subparsers)
    _add_component(subparsers)
    _add_deployment(subparsers)
    _add_logs(subparsers)
    _add_pub(subparsers)
    _add_sub(subparsers)
    _add_fault(subparsers)
    _add_lint(subparsers)
    return parser


def _command(subparsers: Any, name: str, command: Command, text: str, epilog: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=command)
    parser.add_argument(
        "--root", type=Path, default=default_root(), help="root folder of the nucleus (default: $GGLOCAL_ROOT or ./.gglocal)"
    )
    return parser


def _add_run(subparsers: Any) -> None:
    parser = _command(subparsers, "run", commands.run, "start a nucleus in the foreground and deploy components")
    _add_directories(parser)
    _add_config(parser)
    parser.add_argument("--profile", choices=list(PROFILES), default="lite", help="the nucleus to emulate (default: lite)")
    parser.add_argument(
        "--iot-core", default="recorder", metavar="URL", help="recorder, recorder:FILE or mqtt://host:port (default: recorder)"
    )
    parser.add_argument(
        "--error-reset",
        type=number(0, MAX_SECONDS),
        default=3600.0,
        metavar="SECONDS",
        help="a component is BROKEN after three errors, each within this time of the previous one (default: 3600)",
    )
    parser.add_argument("--thing-name", default="gglocal", help="AWS_IOT_THING_NAME of components (default: gglocal)")
    parser.add_argument("--region", default="us-east-1", help="AWS_REGION of components (default: us-east-1)")
    parser.add_argument("--shim", action="store_true", help="enable the faults disk-full and clock-step; needs a C compiler")
    parser.add_argument("--exit-when-finished", action="store_true", help="exit when all components are FINISHED, or one is BROKEN")
    parser.add_argument("--timeout", type=number(0, MAX_SECONDS), metavar="SECONDS", help="exit after this time")
    parser.add_argument("--quiet", action="store_true", help="do not print the output of components")
    parser.add_argument("--verbose", action="store_true", help="log more, and print the progress output of pip")


def _add_deploy(subparsers: Any) -> None:
    parser = _command(subparsers, "deploy", commands.deploy, "deploy components to the running nucleus")
    _add_directories(parser)
    _add_config(parser)


def _add_component(subparsers: Any) -> None:
    group = subparsers.add_parser("component", help="list, show, restart and stop components")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    for name, command, text in (
        ("list", commands.component_list, "list all components"),
        ("details", commands.component_details, "show a component's status and configuration"),
        ("restart", commands.component_restart, "restart a component"),
        ("stop", commands.component_stop, "stop a component"),
    ):
        parser = _command(actions, name, command, text)
        parser.add_argument("--json", action="store_true", help="print JSON")
        if name != "list":
            parser.add_argument("name", metavar="NAME", nargs="?", help="name of the component")
            parser.add_argument("--names", "--name", "-n", metavar="NAME,…", help="names of components, as in greengrass-cli")


def _add_deployment(subparsers: Any) -> None:
    group = subparsers.add_parser("deployment", help="create, monitor and list local deployments")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    create = _command(
        actions,
        "create",
        greengrass_cli.deployment_create,
        "create a local deployment; with --profile classic, it is rolled back on failure",
    )
    _add_directories(create)
    greengrass_cli.create_options(create)
    status = _command(actions, "status", greengrass_cli.deployment_status, "show the status of a deployment")
    status.add_argument("--deploymentId", "-i", metavar="ID", required=True)
    _command(actions, "list", greengrass_cli.deployment_list, "list deployments, newest first")


def _add_logs(subparsers: Any) -> None:
    parser = _command(subparsers, "logs", commands.logs, "print the log of a component")
    parser.add_argument("name", metavar="NAME", help="name of the component; get: all components, as in greengrass-cli")
    parser.add_argument("--filter", action="append", default=[], help="with get: regular expressions or levels, separated by commas")
    parser.add_argument("-f", "--follow", action="store_true", help="continue with new lines")
    parser.add_argument("-n", "--lines", type=whole(0, 10**9), help="print only the last N lines")


def _add_pub(subparsers: Any) -> None:
    parser = _command(subparsers, "pub", commands.pub, "publish a message")
    parser.add_argument("topic", metavar="TOPIC", help="the topic; wildcards are not allowed")
    parser.add_argument("payload", metavar="PAYLOAD", nargs="?", help="the payload as text")
    parser.add_argument("--file", help="read the payload from a file; - for standard input")
    parser.add_argument("--base64", action="store_true", help="decode the payload from base64")
    parser.add_argument("--json", action="store_true", help="publish a JSON message instead of a binary one")
    parser.add_argument("--iot", action="store_true", help="publish to IoT Core, as the cloud does")
    parser.add_argument("--sign", action="store_true", help="sign the message with the key that the components have created")
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign the message with the key in this file")


def _add_sub(subparsers: Any) -> None:
    parser = _command(subparsers, "sub", commands.sub, "subscribe to a topic filter and print messages")
    parser.add_argument("filter", metavar="FILTER", help="an MQTT topic filter")
    parser.add_argument("--count", type=whole(1, 10**9), help="exit after this number of messages")
    parser.add_argument(
        "--timeout", type=number(0, MAX_SECONDS), help="exit after this number of seconds; exit code 3 before --count is reached"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per line: topic, payload (base64), text, value, sender, at"
    )
    parser.add_argument("--base64", action="store_true", help="print payloads as base64")
    parser.add_argument("--iot", action="store_true", help="print messages of IoT Core")


def _add_fault(subparsers: Any) -> None:
    known = [f"{name}: {each.effect}; options: {usage(each.options)}" for name, each in FAULTS.items()]
    parser = _command(subparsers, "fault", commands.fault, "inject a fault; without NAME, list active faults", epilog="\n".join(known))
    parser.add_argument("name", metavar="NAME", nargs="?", choices=list(FAULTS), help="name of the fault, see below")
    parser.add_argument("options", metavar="KEY=VALUE", nargs="*", help="options of the fault")
    parser.add_argument("--end", metavar="NUMBER|all", type=_fault_number, help="end an active fault by its number, or all faults")


def _add_lint(subparsers: Any) -> None:
    parser = _command(subparsers, "lint", commands.lint, "check recipes for problems on Nucleus Lite and on the classic nucleus")
    parser.add_argument("recipes", nargs="+", metavar="FILE", help="recipe files, or directories of recipes")


def _add_directories(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipe-dir", "--recipeDir", action="append", default=[], metavar="DIR", help="folder of recipes; repeatable")
    parser.add_argument(
        "--artifact-dir", "--artifactDir", action="append", default=[], metavar="DIR", help="folder of NAME/VERSION/files; repeatable"
    )
    parser.add_argument("--merge", "-m", action="append", default=[], metavar="NAME=VERSION", help="component to deploy; repeatable")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE|JSON", help='configuration updates: {"NAME": {"merge": {...}, "reset": ["/pointer"]}}')


def _fault_number(text: str) -> int | str:
    return "all" if text == "all" else whole(0, 10**9)(text)


if __name__ == "__main__":
    sys.exit(main())
