"""The local nucleus's decoders and readers."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from gglocal import message_plugins
from gglocal.core.access_policy import VariableScope, allows
from gglocal.core.config_store import ConfigConflict, ConfigStore, KeyNotFound
from gglocal.core.lite_json_limits import is_lost, refusal
from gglocal.core.pubsub import Message
from gglocal.core.state import NucleusState
from gglocal.deployment.artifacts import store
from gglocal.deployment.resolver import configuration_updates
from gglocal.errors import ArtifactError, DeploymentError, GglocalError, NucleusError, RecipeError, VariableError, VersionError
from gglocal.faults import FAULTS
from gglocal.faults.base import read_options
from gglocal.iot_core import open_iot_core
from gglocal.ipc import event_stream, protocol
from gglocal.ipc.client_limits import ClientLimits
from gglocal.ipc.connection import Connection
from gglocal.ipc.event_stream import FrameError
from gglocal.ipc.operations import SERVICES
from gglocal.payload_text import one_line, text_of
from gglocal.profile import CLASSIC, LITE, Profile
from gglocal.recipe.access_control import has_variables, policy_errors, well_formed
from gglocal.recipe.lifecycle_steps import parse_lifecycle, timeout_seconds
from gglocal.recipe.lint import findings
from gglocal.recipe.manifest_selection import Host, select
from gglocal.recipe.parser import Artifact, Manifest, load_recipe, read_document
from gglocal.recipe.semver import Range, Version
from gglocal.recipe.variables import Scope, interpolate, pointer_path
from gglocal.root_dir import Root
from gglocal.topic_filter import is_valid, matches
from tests.fuzz.target import ROOT, Target, in_file, scratch

HOST = Host({"os": "linux", "architecture": "amd64"})
ACCESS = {
    "aws.greengrass.ipc.pubsub": {
        "com.x:pubsub:1": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["a/*", "{iot:thingName}/b"]},
    },
    "aws.greengrass.ipc.mqttproxy": {"com.x:mqtt:1": {"operations": ["*"], "resources": ["x/+/#", "{configuration:/topic}", "${*}"]}},
}


def framed(data: bytes) -> None:
    for piece in (1, len(data) or 1):
        splitter = event_stream.Splitter(10_012)
        for at in range(0, len(data), piece):
            for packet in splitter.feed(data[at : at + piece]):
                assert event_stream.decode(event_stream.encode(packet.headers, packet.payload)) == packet
        if len(data) > 500:
            break


def packets() -> list[bytes]:
    import uuid

    headers: dict[str, event_stream.HeaderValue] = {
        ":message-type": 0,
        "a": True,
        "b": event_stream.Byte(-5),
        "c": event_stream.Int16(300),
        "d": event_stream.Int64(2**40),
        "e": b"raw",
        "f": "text",
        "g": event_stream.Timestamp(1),
        "h": uuid.UUID(int=5),
    }
    return [
        event_stream.encode(headers, b'{"a": 1}'),
        event_stream.encode({}),
        event_stream.encode(headers) + event_stream.encode({}, b"x"),
    ]


def resealed(data: bytes) -> bytes:
    """Recompute the checksums of a packet, so that the fuzzer reaches the code behind them."""
    import struct
    import zlib

    if len(data) < 16:
        return data
    start = struct.pack(">I", len(data)) + data[4:8]
    body = start + struct.pack(">I", zlib.crc32(start)) + data[12:-4]
    return body + struct.pack(">I", zlib.crc32(body))


class Wire(asyncio.Transport):
    """A transport that records the written bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.open = b"", True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.open = False

    close = abort


def _core(profile: Profile) -> NucleusState:
    core = NucleusState(profile=profile, thing_name="t", iot=open_iot_core("recorder", client_id="x", record=Path("/dev/null")))
    core.config.set_default("com.x", {"topic": "a", "deep": {"n": 1}, "accessControl": ACCESS})
    return core


def called(tree: Any) -> None:
    """A call of an authenticated component, {operation, arguments}, on both profiles."""
    operation, arguments = (tree.get("operation"), tree.get("arguments")) if isinstance(tree, dict) else (None, tree)
    for profile in (LITE, CLASSIC):
        asyncio.run(_call(profile, operation, arguments))


async def _call(profile: Profile, operation: Any, arguments: Any) -> None:
    core = _core(profile)
    connection, wire = Connection(ClientLimits(core)), Wire()
    connection.connection_made(wire)
    token = core.register("com.x", "1.0.0", ACCESS)
    hello: dict[str, event_stream.HeaderValue] = {
        protocol.TYPE: protocol.CONNECT,
        protocol.FLAGS: 0,
        protocol.STREAM: 0,
        protocol.VERSION: protocol.PROTOCOL_VERSION,
    }
    connection.data_received(event_stream.encode(hello, json.dumps({"authToken": token}).encode()))
    assert wire.open
    try:
        headers: dict[str, event_stream.HeaderValue] = {
            protocol.TYPE: 0,
            protocol.FLAGS: 0,
            protocol.STREAM: 1,
            protocol.OPERATION: str(operation),
        }
        call = event_stream.encode(headers, json.dumps(arguments).encode())
    except (FrameError, UnicodeEncodeError):
        return
    connection.data_received(call)
    for _ in range(5):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    assert b"failed inside the nucleus" not in wire.written


def calls() -> list[Any]:
    binary = {"topic": "a/b", "publishMessage": {"binaryMessage": {"message": "eA=="}}}
    return [
        {"operation": f"aws.greengrass#{name}", "arguments": arguments}
        for name, arguments in (
            ("PublishToTopic", binary),
            ("PublishToTopic", {"topic": "a/b", "publishMessage": {"jsonMessage": {"message": {"k": [1, None]}}}}),
            ("SubscribeToTopic", {"topic": "a/#", "receiveMode": "RECEIVE_ALL_MESSAGES"}),
            ("PublishToIoTCore", {"topicName": "x/y/z", "qos": "1", "payload": "eA=="}),
            ("SubscribeToIoTCore", {"topicName": "x/+/z", "qos": "0"}),
            ("GetConfiguration", {"componentName": "com.x", "keyPath": ["deep", "n"]}),
            ("UpdateConfiguration", {"keyPath": ["deep"], "valueToMerge": {"n": 2}, "timestamp": 1.5e9}),
            ("SubscribeToConfigurationUpdate", {"componentName": "com.x", "keyPath": ["deep"]}),
            ("UpdateState", {"state": "RUNNING"}),
        )
    ]


def connected(data: bytes) -> None:
    """Raw bytes from an unauthenticated client; the first packet has valid checksums."""

    async def run() -> None:
        for content in (data, resealed(data)):
            connection, wire = Connection(ClientLimits(_core(LITE))), Wire()
            connection.connection_made(wire)
            connection.data_received(content)
            connection.connection_lost(None)

    asyncio.run(run())


def first_packets() -> list[bytes]:
    hello: dict[str, event_stream.HeaderValue] = {
        protocol.TYPE: protocol.CONNECT,
        protocol.FLAGS: 0,
        protocol.STREAM: 0,
        protocol.VERSION: protocol.PROTOCOL_VERSION,
    }
    return [event_stream.encode(hello, b'{"authToken": "none"}')]


def recipe_read(path: Path) -> None:
    """Load and lint a recipe on both profiles, select a manifest, parse and interpolate its lifecycle."""
    failed: RecipeError | None = None
    for lite in (True, False):
        try:
            recipe = load_recipe(path, text_scalars=lite)
            findings(recipe, HOST)
            selected = select(recipe, HOST, lite=lite)
            if selected is not None:
                lifecycle = parse_lifecycle(selected.lifecycle, "recipe")
                for step in lifecycle.steps.values():
                    timeout_seconds(step.timeout, step.name, "recipe")
                    _filled(step.script, lite)
                [artifact.file_name for artifact in selected.manifest.artifacts]
        except RecipeError as fault:
            failed = fault
    if failed is not None:
        raise failed


def _filled(text: str, lite: bool) -> None:
    scope = Scope("com.x", "1.0.0", Path("/gg"), "t", lambda: {"a": {"b": [1, "x"]}, "topic": "t"})
    try:
        interpolate(text, scope, lite=lite, in_script=True)
    except VariableError:
        pass


def yaml_recipes() -> list[bytes]:
    filled_in = {"{COMPONENT_VERSION}": "1.0.0", "{COMPONENT_AUTHOR}": "x"}
    created = []
    for path in sorted((ROOT / "recipes").glob("*.yaml"))[:2]:
        text = path.read_text()
        for name, value in filled_in.items():
            text = text.replace(name, value)
        created.append(text.encode())
    return created


def recipe_trees() -> list[Any]:
    install = {"Script": "echo {configuration:/a/b}", "Timeout": "5", "Setenv": {"A": "b"}, "RequiresPrivilege": "true"}
    steps = {"install": install, "run": "x"}
    manifest = {
        "Platform": {"os": "linux", "runtime": "*", "architecture": "/amd64|arm/"},
        "Selections": ["all"],
        "Lifecycle": steps,
        "Artifacts": [{"Uri": "s3://b/x.zip", "Unarchive": "ZIP", "Permission": {"Read": "ALL", "Execute": "OWNER"}}],
    }
    base = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": "com.x",
        "ComponentVersion": "1.0.0",
        "ComponentConfiguration": {"DefaultConfiguration": {"a": {"b": 1}, "accessControl": ACCESS}},
        "ComponentDependencies": {"com.y": {"VersionRequirement": "^1.2 || >=3.0.0 <4.0.0", "DependencyType": "SOFT"}},
        "Manifests": [manifest],
    }
    plain = {**manifest, "Lifecycle": {}, "Platform": {"os": "linux", "runtime": "*"}}
    return [base, {**base, "Manifests": [plain], "Lifecycle": {"linux": steps, "all": {"run": "x"}}}]


def recipe_tree_read(tree: Any) -> None:
    in_file("r.json", recipe_read)(json.dumps(tree).encode())


def configuration_kept(tree: Any) -> None:
    """Merge a configuration, read it, and restore it from a snapshot."""
    configuration = ConfigStore()
    configuration.merge("com.x", {"a": {"b": 1}}, 1)
    try:
        configuration.merge("com.x", tree, 2, [])
    except ConfigConflict:
        pass
    configuration.set_default("com.x", tree if isinstance(tree, dict) else {})
    again = ConfigStore()
    again.load(json.loads(json.dumps(configuration.snapshot())))
    assert json.dumps(again.get("com.x")) == json.dumps(configuration.get("com.x"))
    refusal({"a": tree}), is_lost(tree)  # noqa: B018


def snapshot_loaded(data: bytes) -> None:
    """Load the state that another nucleus saved."""
    with scratch() as folder:
        root = Root(folder)
        root._state.parent.mkdir(parents=True)
        root._state.write_bytes(data)
        configuration = ConfigStore()
        configuration.load(root.load_state().get("configuration", {}))
        for name in configuration.components():
            configuration.get(name)


def snapshots() -> list[bytes]:
    configuration = ConfigStore()
    configuration.merge("com.x", {"a": {"b": 1, "c": []}, "d": "e"}, 5)
    return [json.dumps({"configuration": configuration.snapshot()}).encode()]


def evaluated(tree: Any) -> None:
    """Arbitrary accessControl, for each operation on both profiles."""
    configuration = ConfigStore()
    configuration.set_default("com.x", {"topic": "x/y"})
    place = VariableScope("com.x", "1.0.0", "t", "/gg", configuration)
    policy_errors(tree)
    has_variables(tree)
    for lite in (True, False):
        for operation in ("aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToIoTCore"):
            for resource in ("a/b", "x/y/z", "t/b"):
                allows(lite, tree, SERVICES[operation], operation, resource, place)


def resource_judged(text: str) -> None:
    resource, _, topic = text.partition(" ")
    well_formed(resource)
    evaluated({"aws.greengrass.ipc.mqttproxy": {"p": {"operations": ["*"], "resources": [resource]}}})
    matches(resource, topic)
    is_valid(resource)


def zip_unpacked(data: bytes) -> None:
    with scratch() as folder:
        place = folder / "artifacts" / "com.x" / "1.0.0"
        place.mkdir(parents=True)
        (place / "x.zip").write_bytes(data)
        recipe = load_recipe(_recipe(folder))
        manifest = Manifest(None, None, {}, (Artifact("s3://b/x.zip", "ZIP", "ALL", "OWNER"),))
        try:
            store(recipe, manifest, [folder / "artifacts"], folder / "into", folder / "unarchived")
        finally:
            inside = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
            assert inside <= {"artifacts", "into", "unarchived", "r.json"}, inside


def _recipe(folder: Path) -> Path:
    path = folder / "r.json"
    path.write_text(json.dumps(recipe_trees()[0]))
    return path


def zips() -> list[bytes]:
    created = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("a/b.py"), "print()\n" * 20)
            archive.writestr(zipfile.ZipInfo("c.txt"), b"\0" * 300)
        created.append(file.getvalue())
    return created


def version_read(text: str) -> None:
    version = Version.parse(text)
    assert Version.parse(str(version)) == version
    sorted([version, Version.parse("1.0.0"), Version.parse("1.0.0-a.1")])


def range_read(text: str) -> None:
    expected = Range.parse(text)
    for version in ("0.0.0", "1.2.3", "2.0.0-rc.1"):
        Version.parse(version) in expected  # noqa: B015


def filled(text: str) -> None:
    pointer_path(text)
    _filled(text, True)
    _filled(text, False)


def fault_options(tree: Any) -> None:
    name = tree.get("name") if isinstance(tree, dict) else ""
    fault = FAULTS.get(name) if isinstance(name, str) else None
    options = tree.get("options") if isinstance(tree, dict) else None
    if fault is not None and isinstance(options, dict):
        read_options(str(name), fault.options, options)


def shown(data: bytes) -> None:
    for plugin in message_plugins.plugins():  # `message_plugins.body` logs the errors of plugins
        plugin.body(data)
    text = text_of(message_plugins.body(data))
    if text is not None:
        one_line(text)
    message = Message.of_bytes(data)
    assert message.payload() == data
    message.event("a")
    Message(False, data.decode("latin-1")).payload()


TARGETS: dict[str, Target] = {
    "frames": Target(
        ("gglocal.ipc.event_stream.decode", "gglocal.ipc.event_stream.Splitter.feed"), "bytes", framed, (FrameError,), packets
    ),
    "frames-sealed": Target(
        ("gglocal.ipc.event_stream.decode",),
        "bytes",
        lambda data: framed(resealed(data)),
        (FrameError,),
        lambda: packets()[:2],
    ),
    "connection": Target(("gglocal.ipc.connection.Connection.data_received",), "bytes", connected, (), first_packets),
    "ipc-call": Target(("gglocal.ipc.connection.Connection.data_received",), "tree", called, (), calls),
    "recipe": Target(
        ("gglocal.recipe.parser.load_recipe", "gglocal.recipe.parser.read_document"),
        "bytes",
        in_file("r.yaml", recipe_read),
        (RecipeError,),
        yaml_recipes,
    ),
    "recipe-tree": Target(
        ("gglocal.recipe.parser.load_recipe", "gglocal.recipe.lifecycle_steps.parse_lifecycle"),
        "tree",
        recipe_tree_read,
        (RecipeError,),
        recipe_trees,
    ),
    "document": Target(
        ("gglocal.recipe.parser.read_document",),
        "bytes",
        in_file("c.json", read_document),
        (RecipeError,),
        lambda: [b'{"com.x": {"merge": {"a": 1}}}'],
    ),
    "configuration": Target(
        ("gglocal.core.config_store.ConfigStore.load",),
        "tree",
        configuration_kept,
        (ConfigConflict, KeyNotFound),
        lambda: [{"a": {"b": 2, "c": [1]}, "d": "x", "e": {}}],
    ),
    "saved-state": Target(
        ("gglocal.root_dir.Root.load_state", "gglocal.core.config_store.ConfigStore.load"),
        "bytes",
        snapshot_loaded,
        (NucleusError,),
        snapshots,
    ),
    "configuration-updates": Target(
        ("gglocal.deployment.resolver.configuration_updates",),
        "tree",
        lambda tree: configuration_updates(tree, "--config"),
        (DeploymentError,),
        lambda: [{"com.x": {"merge": {"a": 1}, "reset": ["/b"]}, "com.y": {"MERGE": '{"k": [1]}'}}],
    ),
    "access-control": Target(
        ("gglocal.core.access_policy.allows", "gglocal.recipe.access_control.policy_errors"), "tree", evaluated, (), lambda: [ACCESS]
    ),
    "topic-filter": Target(
        ("gglocal.topic_filter.matches", "gglocal.core.access_policy.allows"),
        "text",
        resource_judged,
        (),
        lambda: ["a/+/# a/b/c", "*x*/${*}{iot:thingName} t", "$a/# $a/b"],
    ),
    "zip": Target(("gglocal.deployment.artifacts.store",), "bytes", zip_unpacked, (ArtifactError,), zips),
    "version": Target(
        ("gglocal.recipe.semver.Version.parse",), "text", version_read, (VersionError,), lambda: ["1.2.3", "1.0.0-rc.1+build.5"]
    ),
    "version-range": Target(
        ("gglocal.recipe.semver.Range.parse",),
        "text",
        range_read,
        (VersionError,),
        lambda: [">=1.0.0 <2.0.0 || ^0.2", "1.0.0 - 2.x", "~1.2, *", "=v1"],
    ),
    "variables": Target(
        ("gglocal.recipe.variables.interpolate",),
        "text",
        filled,
        (),
        lambda: ["{configuration:/a/b/1} {com.y:artifacts:path} {work:path} $`\\"],
    ),
    "fault-options": Target(
        ("gglocal.faults.base.read_options",),
        "tree",
        fault_options,
        (GglocalError,),
        lambda: [
            {"name": "delay-answers", "options": {"for_s": "5", "by_s": 2, "operation": "a"}},
            {"name": "kill", "options": {"component": "com.x"}},
            {"name": "iot-cut", "options": {}},
        ],
    ),
    "payload": Target(
        ("gglocal.message_plugins.body", "gglocal.payload_text.text_of"),
        "bytes",
        shown,
        (),
        lambda: [b"edgeml1 com.x 5 " + b"0" * 32 + b'\n{"a": [1]}', b'[1, {"b": null}]', b"\0\1"],
    ),
}
