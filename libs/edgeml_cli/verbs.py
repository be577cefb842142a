"""The commands of `edgeml`: one record per verb. The parser, the help, the completion and the reference are made from this table.

A verb's module offers two functions:

- `parser() -> argparse.ArgumentParser`: the parser of the verb, or of a group of verbs that `Verb.prefix` selects from;
- `main(arguments: list[str] | None = None) -> int`: runs it and returns the exit code.

Requires only the standard library, as does every module that `edgeml --help` imports.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

VENV = ".venv"
TRAINING_VENV = ".venv-train"
"""TensorFlow's environment: 2.5 GB that nothing but training needs."""

Stdout = Literal["result", "progress", "json"]


@dataclass(frozen=True)
class Verb:
    """One command.

    Attributes:
        words: the words after `edgeml`, such as `model train`.
        module: the module with `parser` and `main`.
        summary: one line of help.
        extras: extras of pyproject.toml that it needs beyond the base.
        option_extras: extras that an option needs, by that option.
        venv: the environment in the checkout that it runs in; empty: any Python, without any package.
        aws: it needs an AWS account.
        prefix: the words with which the module selects this verb among its own.
        stdout: the kind of its standard output: `result`: files or figures for the next command, while progress goes to standard
            error; `progress`: lines for people; `json`: lines for people, and one JSON object as the last line.
        own_json: its module has an option `--json`, and prints the object itself.
        status_line: takes long; a terminal shows the time so far. Not for a command whose child processes write to the terminal.
    """

    words: str
    module: str
    summary: str
    extras: tuple[str, ...] = ()
    option_extras: tuple[tuple[str, str], ...] = ()
    venv: str = VENV
    aws: bool = False
    prefix: tuple[str, ...] = ()
    stdout: Stdout = "progress"
    own_json: bool = False
    status_line: bool = False

    @property
    def command(self) -> str:
        return f"edgeml {self.words}"

    @property
    def family(self) -> str:
        """The first word."""
        return self.words.split()[0]


FAMILIES: dict[str, str] = {
    "demo": "See the suite at work on this machine",
    "build": "Build the components",
    "model": "Train, evaluate, sign and package models",
    "data": "Get public data sets, simulate machines, prepare training data",
    "device": "Deploy to this machine",
    "fleet": "Publish components, deploy them to thing groups, follow the devices",
    "cloud": "Set up the AWS side and estimate its volume",
    "sagemaker": "Train in Amazon SageMaker",
    "dev": "Check and maintain the project",
    "completion": "Complete commands in a shell",
}
"""The first words, in the order of `edgeml --help`."""

_BUILD = "edgeml_cli.build"
_FLEET = "edgeml_cli.fleet"
_STACK = "edgeml_cli.cloud.stack"
_SIGN = f"{_BUILD}.sign_bundle"
_VERIFY = "edgeml_cli.verify"
_DATA = "model_training.prepare.__main__"
_SAGEMAKER = "model_training.sagemaker.__main__"

VERBS: tuple[Verb, ...] = (
    Verb("demo", "edgeml_cli.demo.main", "Run the whole suite on a local nucleus and draw a report.", stdout="json"),
    Verb("build", f"{_BUILD}.package", "Build recipes, zips and deployment.json into greengrass-build/.", venv="", stdout="result"),
    Verb(
        "model train",
        "model_training.train",
        "Train a model and write its bundles.",
        extras=("train",),
        venv=TRAINING_VENV,
        stdout="json",
        status_line=True,
    ),
    Verb(
        "model evaluate",
        "model_training.evaluation.__main__",
        "Evaluate a model bundle on recordings, with the components' own code.",
        option_extras=(("--report", "report"),),
        stdout="json",
        status_line=True,
    ),
    Verb(
        "model parity",
        "model_training.parity.__main__",
        "Compare a bundle's results on LiteRT, tflite-runtime and 64-bit ARM.",
        stdout="result",
    ),
    Verb("model keygen", _SIGN, "Make a key pair that signs model bundles.", prefix=("keygen",), stdout="result"),
    Verb("model sign", _SIGN, "Sign model bundles.", prefix=("sign",), stdout="result"),
    Verb("model verify", _SIGN, "Verify the signature of model bundles, as a device does.", prefix=("verify",), stdout="result"),
    Verb("model package", f"{_BUILD}.model_component", "Make a component of a signed model bundle.", stdout="result"),
    Verb("data list", _DATA, "List the public data sets.", prefix=("list",), stdout="result"),
    Verb(
        "data fetch",
        _DATA,
        "Download a public data set and verify it.",
        prefix=("fetch",),
        stdout="result",
        status_line=True,
    ),
    Verb(
        "data prepare",
        _DATA,
        "Make versioned training data of captured files and CSVs.",
        extras=("prepare",),
        prefix=("prepare",),
        stdout="result",
        status_line=True,
    ),
    Verb("data simulate", "model_training.simulation.__main__", "Simulate a machine: a history to train on, and a fault.", stdout="result"),
    Verb(
        "device deploy",
        f"{_FLEET}.deploy",
        "Deploy the build to the nucleus of this machine.",
        extras=("cloud",),
        prefix=("device",),
    ),
    Verb("fleet publish", f"{_FLEET}.publish", "Publish every component and the Suite.", extras=("cloud",), aws=True, status_line=True),
    Verb(
        "fleet deploy",
        f"{_FLEET}.deploy",
        "Deploy to a thing group and follow its devices.",
        extras=("cloud",),
        aws=True,
        prefix=("deploy",),
        status_line=True,
    ),
    Verb(
        "fleet rollback",
        f"{_FLEET}.deploy",
        "Deploy the previous deployment of a thing group again.",
        extras=("cloud",),
        aws=True,
        prefix=("rollback",),
        status_line=True,
    ),
    Verb(
        "fleet promote",
        f"{_FLEET}.promote",
        "Deploy the exact versions of a canary group to another group.",
        extras=("cloud",),
        aws=True,
        status_line=True,
    ),
    Verb(
        "fleet status",
        f"{_FLEET}.status",
        "Show every core device: deployments, versions, health.",
        extras=("cloud",),
        aws=True,
        prefix=("status",),
        stdout="result",
        own_json=True,
    ),
    Verb(
        "cloud deploy",
        _STACK,
        "Create or update the AWS side as one stack.",
        extras=("cloud",),
        aws=True,
        prefix=("deploy",),
        status_line=True,
    ),
    Verb(
        "cloud destroy",
        _STACK,
        "Delete the AWS side; data only on request.",
        extras=("cloud",),
        aws=True,
        prefix=("destroy",),
        status_line=True,
    ),
    Verb(
        "cloud estimate",
        "edgeml_cli.cloud.volume_estimate",
        "Estimate what a fleet sends and stores in a month.",
        extras=("cloud",),
        stdout="result",
    ),
    Verb(
        "sagemaker train",
        _SAGEMAKER,
        "Start a training job and follow it.",
        extras=("sagemaker",),
        aws=True,
        prefix=("train",),
        status_line=True,
    ),
    Verb(
        "sagemaker status",
        _SAGEMAKER,
        "Show the state of a training job.",
        extras=("sagemaker",),
        aws=True,
        prefix=("status",),
        status_line=True,
    ),
    Verb(
        "sagemaker fetch",
        _SAGEMAKER,
        "Download a completed job's model and verify its bundles.",
        extras=("sagemaker",),
        aws=True,
        prefix=("fetch",),
        status_line=True,
    ),
    Verb("dev version", f"{_BUILD}.set_version", "Print the version of the suite, or set another.", venv="", stdout="result"),
    Verb("dev topics", f"{_BUILD}.topic_tables", "Write the records of topics into recipes and READMEs.", stdout="result"),
    Verb(
        "dev lock",
        f"{_BUILD}.resolve_lock",
        "Lock the components' requirements, with digests.",
        extras=("lock",),
        stdout="result",
        status_line=True,
    ),
    Verb(
        "dev chaos",
        f"{_VERIFY}.chaos.__main__",
        "Inject seeded random faults into the deployed pipeline and verify its guarantees.",
        stdout="json",
    ),
    Verb("dev outage", f"{_VERIFY}.outage.__main__", "Verify delivery to IoT Core after hours offline and after kills.", stdout="json"),
    Verb("dev soak", f"{_VERIFY}.soak.__main__", "Verify that memory, threads and queues stay flat under load.", stdout="json"),
    Verb(
        "dev fuzz",
        "tests.fuzz.__main__",
        "Fuzz every decoder and configuration reader, guided by coverage.",
        extras=("test", "fuzz"),
        stdout="json",
    ),
    Verb("dev docs", "edgeml_cli.site.build", "Build the documentation site; any warning is a failure.", extras=("docs",)),
    Verb("dev prose", "edgeml_cli.site.prose", "Check the wording of documents and docstrings.", stdout="result"),
    Verb("dev picture", "edgeml_cli.site.picture", "Draw the plots of a demo's report as one SVG file, as in the README."),
    Verb("dev auth-benchmark", f"{_VERIFY}.auth_benchmark", "Measure the overhead of message authentication.", stdout="json"),
    Verb(
        "dev test-training",
        f"{_VERIFY}.training_tests",
        "Run the tests that train models.",
        extras=("test", "train"),
        venv=TRAINING_VENV,
    ),
    Verb("dev test-arm64", f"{_VERIFY}.arm64.__main__", "Install, test and run the suite on emulated 64-bit ARM.", venv=""),
    Verb("completion", "edgeml_cli.completion", "Print a completion script for bash, zsh or fish.", venv="", stdout="result"),
)


def find(words: list[str]) -> tuple[Verb | None, list[str]]:
    """The verb that a command line begins with, and the arguments behind it; None: it begins with none."""
    for count in (2, 1):
        typed = " ".join(words[:count])
        for verb in VERBS:
            if verb.words == typed and len(words) >= count:
                return verb, words[count:]
    return None, words


def nearest(words: list[str], most: int = 4) -> list[str]:
    """The verbs most similar to the words typed: those with the same word, or else those with words spelled alike."""
    typed = [word for word in words[:2] if not word.startswith("-")]
    known = {verb.words: verb.words.split() for verb in VERBS}
    if typed and typed[0] in FAMILIES:
        known = {name: parts for name, parts in known.items() if parts[0] == typed[0]}
        typed = typed[1:]
    spelled = {match for word in typed for match in _alike(word, known.values())}
    same = [name for name, parts in known.items() if set(typed) & set(parts)]
    return (same or [name for name, parts in known.items() if spelled & set(parts)])[:most]


def _alike(word: str, among: Iterable[list[str]]) -> list[str]:
    return difflib.get_close_matches(word, {part for parts in among for part in parts}, n=2, cutoff=0.6)
