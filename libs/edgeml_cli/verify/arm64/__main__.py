"""`edgeml dev test-arm64`: tests the suite in a Debian 12 root for 64-bit ARM.

It builds the components' zips with wheels, installs them without a network, verifies the golden samples of the shipped model with
the installed packages, runs the tests that depend on the processor, and runs the demo in a fresh clone. Under emulation, this takes
ten minutes or more. It is not part of scripts/test: run it before a release.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edgeml_cli.build import wheelhouse
from edgeml_cli.build.package import BUNDLES, COMPONENTS, ROOT, BuildError, Project, build
from edgeml_cli.verify.arm64.debian_root import Root, RootError, emulated

PYTHON = "3.11"
"""The version in Debian 12."""
PLACE = "/srv/edgeml"
"""Directory in the root for the files of this command."""
TESTS = (
    "tests/edgeml/model/test_self_test.py",
    "tests/edgeml/model/test_runtime.py",
    "tests/edgeml/model/test_scorer.py",
    "tests/edgeml/model/test_baseline.py",
    "tests/edgeml/model/test_window.py",
    "tests/edgeml/alarms/test_alarm_policy.py",
    "tests/edgeml/model/test_bundle.py",
    "tests/edgeml/model/test_signature.py",
    "tests/edgeml/messages/test_messages.py",
    "tests/edgeml/auth/test_envelope.py",
    "tests/model_training/test_shipped.py",
)
"""Tests of rounding, byte packing and signing."""
SILENT = "tests/edgeml/model/test_runtime.py::test_runtime_prints_nothing_and_is_imported_late"
"""Skipped under emulation, where the runtime warns that it cannot count the processors."""
GOLDEN = """
import sys
from pathlib import Path
from edgeml.model import self_test
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import open_engine
from edgeml.errors import BundleError
failed = 0
for place in sys.argv[1:]:
    try:
        bundle = Bundle.load(Path(place))
        engine = open_engine(bundle)
        print(f"{bundle.manifest.name} {bundle.manifest.version} on {engine.kind}: {self_test.verify(bundle, engine)}")
    except BundleError as fault:
        failed = 1
        print(f"refused: {fault}")
sys.exit(failed)
"""

Step = Callable[["Bench"], int]


class Bench:
    """The root and its content.

    Attributes:
        bundles: folders of further bundles to check.
    """

    def __init__(self, root: Root, bundles: Sequence[Path] = ()) -> None:
        self.root, self.bundles = root, bundles
        self.place = root.path / PLACE.lstrip("/")
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        print(f"test-arm64: [{time.monotonic() - self._begun:4.0f} s] {text}", flush=True)


def install(bench: Bench) -> int:
    """Build with wheels, unpack like a nucleus, and install without a network."""
    built = bench.place / "greengrass-build"
    build(ROOT, built, devices=wheelhouse.parse_targets(["linux-aarch64"], [PYTHON]))
    shutil.rmtree(bench.place / "artifacts", ignore_errors=True)
    version = Project.read(ROOT).version
    for component, folder in COMPONENTS.items():
        for name in (folder, *BUNDLES.get(component, ())):
            with zipfile.ZipFile(built / "artifacts" / component / version / f"{name}.zip") as archive:
                archive.extractall(bench.place / "artifacts" / name)
        code = bench.root.run(_install(folder), network=False)
        if code:
            return code
    return 0


def _install(folder: str) -> list[str]:
    inside = f"{PLACE}/artifacts/{folder}"
    venv = ["--venv", f"{PLACE}/venvs/{folder}"]
    return ["python3", f"{inside}/edgeml/runtime/install_venv.py", "--requirements", f"{inside}/requirements.txt", *venv]


def golden(bench: Bench) -> int:
    """Verify the golden samples of the shipped and the given bundles, with the packages that Inference's install step installed."""
    python, inside = f"{PLACE}/venvs/inference/bin/python", f"{PLACE}/artifacts"
    binds = {folder: f"{PLACE}/bundles/{number}/{folder.absolute().name}" for number, folder in enumerate(bench.bundles)}
    return bench.root.run([python, "-c", GOLDEN, f"{inside}/pump_anomaly", *binds.values()], binds, f"{inside}/inference", network=False)


def tests(bench: Bench) -> int:
    """Run `TESTS` in a copy of the checkout."""
    _clone(bench)
    left_out = f"--deselect {SILENT}" if emulated() else ""
    script = f"python=$(scripts/env check) && exec $python -m pytest -q -p no:cacheprovider {left_out} {' '.join(TESTS)}"
    return bench.root.run(["sh", "-c", script], cwd=f"{PLACE}/checkout")


def demo(bench: Bench) -> int:
    """Run the demo as a new user would."""
    _clone(bench)
    return bench.root.run(["scripts/demo", "--headless"], cwd=f"{PLACE}/checkout")


STEPS: dict[str, Step] = {"install": install, "golden": golden, "tests": tests, "demo": demo}
"""In this order; `golden` wants what `install` leaves."""


def _clone(bench: Bench) -> None:
    """The checkout as it is, what git ignores left out; what earlier runs made there stays."""
    out = bench.place / "checkout"
    for name in _files():
        source, target = ROOT / name, out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)


def _files() -> Iterator[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    yield from (name for name in listed.split("\0") if name and (ROOT / name).exists())


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml dev test-arm64", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("step", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; default: all, in this order")
    made.add_argument("--root", type=Path, default=ROOT / "build" / "arm64-root", help="default: build/arm64-root in the checkout")
    made.add_argument("--mirror", default="", help="of Debian's packages; default: debootstrap's own")
    made.add_argument("--bundle", type=Path, action="append", default=[], help="a bundle of your own to check in the step `golden`")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when a step failed or nothing can be run."""
    command_line = parser()
    given = command_line.parse_args(arguments)
    unknown = [step for step in given.step if step not in STEPS]
    if unknown:
        command_line.error(f"{', '.join(unknown)}: no such step; known are {', '.join(STEPS)}")
    bench = Bench(Root(given.root), given.bundle)
    failed = []
    try:
        bench.root.make(bench.say, given.mirror)
        for name in given.step or STEPS:
            bench.say(name)
            code = STEPS[name](bench)
            bench.say(f"{name}: {'passed' if code == 0 else f'FAILED with {code}'}")
            if code:
                failed.append(name)
    except (RootError, BuildError, wheelhouse.WheelError) as fault:
        print(f"edgeml dev test-arm64: {fault}", file=sys.stderr)
        return 1
    bench.say(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
