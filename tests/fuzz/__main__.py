"""The long run: every target in a separate process, guided by coverage. `edgeml dev fuzz --help` lists the options.

Inputs that reach new code are stored in `build/fuzz/corpus/<target>`, where the next run starts. Inputs that crash or hang are minimised
and stored in `build/fuzz/found/<target>`. The last line of output is a JSON object with the counts.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import warnings
from random import Random
from typing import Any

try:
    import atheris
except ImportError:
    sys.exit("edgeml dev fuzz: atheris is not installed; it comes with `scripts/env test fuzz`, for Linux and the Pythons it is built for")

OURS = ["edgeml", "gglocal", "sensor_ingestion", "inference", "alert_dispatcher", "model_training"]
with atheris.instrument_imports(include=OURS):
    from gglocal.cli.arguments import number, whole
    from tests.fuzz import mutate
    from tests.fuzz.table import TARGETS
    from tests.fuzz.target import ROOT, Crash, Target, outcome, quiet

OUT = ROOT / "build" / "fuzz"
LONGEST = 20_000
"""Maximum size of an input in bytes."""
SMALLER_S = 10.0
"""Time limit in seconds for minimising a found input."""
MEMORY_MB = 2_048
_COVERED = re.compile(r"cov: (\d+) ")


class Run:
    """One target in a separate process: the callbacks of libFuzzer, and statistics."""

    def __init__(self, name: str, seconds: float) -> None:
        self.target: Target = TARGETS[name]
        self.place = OUT / "found" / name
        self.inputs = self.skipped = 0
        self.found: dict[str, tuple[Crash, bytes]] = {}
        self._ends = time.monotonic() + seconds
        self._begun_with = _peak_mb()

    def one(self, data: bytes) -> None:
        if time.monotonic() >= self._ends:
            self._end()
        try:
            value = self.target.value(data)
        except (ValueError, RecursionError):
            self.skipped += 1
            return
        self.inputs += 1
        crash = outcome(self.target, value)
        if crash is not None and crash.key not in self.found:
            self.found[crash.key] = crash, data
            self._keep(crash, data)

    def mutator(self, data: bytes, most: int, seed: int) -> bytes:
        """Mutate half of the inputs with libFuzzer, and the others by their format."""
        random = Random(seed)
        if random.getrandbits(2) == 0:
            return bytes(atheris.Mutate(data, most))
        if self.target.takes == "tree":
            tree = mutate.as_tree(data)
            if tree is not ...:
                with contextlib.suppress(RecursionError, ValueError):
                    return json.dumps(mutate.tree_edited(tree, mutate.random_edits(random, True))).encode()[:most]
        return mutate.edited(data, mutate.random_edits(random, False), ())[:most]

    def _keep(self, crash: Crash, data: bytes) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        stem = self.place / hashlib.sha256(crash.key.encode()).hexdigest()[:12]
        stem.with_suffix(".input").write_bytes(data)
        stem.with_suffix(".txt").write_text(f"{crash.kind}: {crash.key}\n\n{crash.trace}", "utf-8", "backslashreplace")

    def _end(self) -> None:
        for crash, data in list(self.found.values()):
            if crash.kind == "crash":
                self._keep(crash, smaller(self.target, crash, data))
        kinds = [crash.kind for crash, _ in self.found.values()]
        figures = {
            "executions": self.inputs,
            "crashes": kinds.count("crash"),
            "hangs": kinds.count("hang"),
            "peak_mb": _peak_mb(),
            "peak_over_start_mb": round(_peak_mb() - self._begun_with, 1),
        }
        (OUT / "figures.json").write_text(json.dumps(figures))
        sys.stderr.flush()
        os._exit(0)


def smaller(target: Target, crash: Crash, data: bytes) -> bytes:
    """Minimise an input that fails in the same way."""
    until, size = time.monotonic() + SMALLER_S, len(data) // 2
    while size and time.monotonic() < until:
        at = 0
        while at < len(data) and time.monotonic() < until:
            shorter = data[:at] + data[at + size :]
            with contextlib.suppress(ValueError, RecursionError):
                again = outcome(target, target.value(shorter))
                if again is not None and again.key == crash.key:
                    data = shorter
                    continue
            at += size
        size //= 2
    return data


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def child(name: str, seconds: float, seed: int) -> None:
    """Never returns."""
    log = os.open(OUT / "log" / f"{name}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    warnings.simplefilter("ignore")
    quiet()
    corpus = OUT / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    run = Run(name, seconds)
    for number, sample in enumerate(run.target.samples()):
        (corpus / f"sample-{number}").write_bytes(run.target.written(sample))
    options = [
        f"-max_len={LONGEST}",
        f"-seed={seed or 1}",
        f"-rss_limit_mb={MEMORY_MB}",
        "-timeout=300",
        f"-artifact_prefix={run.place}/",
        "-print_final_stats=0",
        "-reload=0",
        "-len_control=0",
    ]
    run.place.mkdir(parents=True, exist_ok=True)
    atheris.Setup(["fuzz", *options, str(corpus)], run.one, custom_mutator=run.mutator)
    atheris.Fuzz()
    os._exit(1)


def one_target(name: str, seconds: float, seed: int) -> dict[str, Any]:
    """Fuzz a target in a separate process and return its statistics."""
    (OUT / "figures.json").unlink(missing_ok=True)
    process = os.fork()
    if not process:
        try:
            child(name, seconds, seed)
        finally:
            os._exit(1)
    give_up, status = time.monotonic() + seconds + 400, None
    while status is None and time.monotonic() < give_up:
        done, code = os.waitpid(process, os.WNOHANG)
        status = code if done else None
        time.sleep(0.1)
    if status is None:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    covered = [int(number) for number in _COVERED.findall((OUT / "log" / f"{name}.txt").read_text(errors="replace"))]
    try:
        figures = json.loads((OUT / "figures.json").read_text())
    except (OSError, ValueError):
        # The process was killed: an uninterruptible hang, or memory above the limit.
        ended = status is not None
        figures = {"executions": 0, "crashes": int(ended), "hangs": int(not ended), "peak_mb": 0.0, "peak_over_start_mb": 0.0}
    figures["coverage"] = max(covered, default=0)
    figures["new_coverage"] = max(covered, default=0) - min(covered, default=0)
    figures["corpus"] = sum(1 for _ in (OUT / "corpus" / name).iterdir())
    return figures


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="edgeml dev fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("targets", nargs="*", metavar="TARGET", help=f"targets to fuzz (default: all): {', '.join(TARGETS)}")
    result.add_argument("--minutes", type=number(0.01, 10**6), default=15.0, help="total minutes for all targets (default: 15)")
    result.add_argument("--seed", type=whole(0, 2**31 - 1), default=1, help="seed of the mutations (default: 1)")
    result.add_argument("--fresh", action="store_true", help="start with the samples only, without the corpus of earlier runs")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return the exit status."""
    command_line = parser()
    args = command_line.parse_args(arguments)
    unknown = [name for name in args.targets if name not in TARGETS]
    if unknown:
        command_line.error(f"unknown target {', '.join(unknown)}; known are {', '.join(TARGETS)}")
    if args.fresh:
        shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "log").mkdir(parents=True, exist_ok=True)
    names, started, found = args.targets or list(TARGETS), time.monotonic(), {}
    for at, name in enumerate(names):
        left = args.minutes * 60 - (time.monotonic() - started)
        figures = found[name] = one_target(name, max(1.0, left / (len(names) - at)), args.seed)
        say(
            f"fuzz: {at + 1}/{len(names)} {name}: {figures['executions']} executions, coverage {figures['coverage']}"
            f" (+{figures['new_coverage']}), {figures['crashes']} crashes, {figures['hangs']} hangs, peak {figures['peak_mb']} MB"
        )
        if figures["crashes"] or figures["hangs"]:
            say(f"fuzz:   see {(OUT / 'found' / name).relative_to(ROOT)} and {(OUT / 'log' / name).relative_to(ROOT)}.txt")
    total = {key: sum(figures[key] for figures in found.values()) for key in ("executions", "new_coverage", "crashes", "hangs")}
    total["targets_run"] = len(found)
    total["peak_mb"] = max(figures["peak_mb"] for figures in found.values())
    say(json.dumps({**total, "minutes": round((time.monotonic() - started) / 60, 1), "seed": args.seed, "targets": found}))
    return 1 if total["crashes"] or total["hangs"] else 0


if __name__ == "__main__":
    sys.exit(main())
