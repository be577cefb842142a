"""Rules on the tree as a whole: who may import whom, one version, and nothing of the machine that it was written on."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

import edgeml
from edgeml_cli.build.package import Project
from edgeml_cli.build.set_version import VERSION_PATTERNS, read_versions

ROOT = Path(__file__).resolve().parents[1]
LIBS = ROOT / "libs"
COMPONENTS = sorted(path.name for path in (ROOT / "components").iterdir() if (path / "__init__.py").is_file())
OURS = {*COMPONENTS, "edgeml", "gglocal", "edgeml_cli", "model_training", "tests", "scripts", "components", "libs"}
SKIPPED = {"build", "greengrass-build", "node_modules", "__pycache__"}


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """(file and line, first part of the imported name) of every import under a folder, inside functions too."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield where, alias.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield where, (node.module or "").split(".")[0]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__"):
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{where}: an import of a computed name"
                yield where, str(name.value).split(".")[0]


def strangers(folder: Path, allowed: set[str]) -> list[str]:
    return [f"{where} imports {name}" for where, name in imports(folder) if name not in allowed | sys.stdlib_module_names]


def test_there_are_three_components() -> None:
    assert COMPONENTS == ["alert_dispatcher", "inference", "sensor_ingestion"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_imports_the_library_and_nothing_of_another(component: str) -> None:
    assert strangers(ROOT / "components" / component, {component, "edgeml", "msgspec", "numpy"}) == []


def test_the_library_imports_no_component_and_not_the_local_nucleus() -> None:
    third = {"awsiot", "awscrt", "cryptography", "msgspec", "numpy", "ai_edge_litert", "tflite_runtime"}
    assert strangers(LIBS / "edgeml", {"edgeml", *third}) == []


def test_the_local_nucleus_imports_neither_a_component_nor_the_library() -> None:
    assert strangers(LIBS / "gglocal", {"gglocal", "yaml", "paho", "pytest"}) == []


def test_the_rules_see_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("def f():\n    from edgeml.ipc.bus import Bus\n    import importlib, gglocal.cli.main\n")
    assert strangers(tmp_path, set()) == ["a.py:2 imports edgeml", "a.py:3 imports gglocal"]


def modules() -> dict[str, Path]:
    """Every module of ours by the name under which it is imported."""
    places = (LIBS, ROOT / "components", ROOT)
    found = {}
    for place in places:
        for path in place.glob("*/**/*.py"):
            parts = path.relative_to(place).with_suffix("").parts
            if parts[0] in OURS and parts[0] not in ("tests", "scripts", "components", "libs"):
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(path: Path, known: Collection[str]) -> Iterator[str]:
    """The modules among `known` that a file imports, for its annotations too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known or node.module in known:
                    yield whole if whole in known else node.module


def test_no_module_imports_what_imports_it() -> None:
    known = modules()
    assert {
        "edgeml.ipc.bus",
        "gglocal.deployment.engine",
        "inference.service",
        "edgeml_cli.demo.statistics",
        "model_training.train",
    } <= known.keys()
    graphlib.TopologicalSorter({name: set(imported(path, known)) - {name} for name, path in known.items()}).prepare()


def test_a_circle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("if TYPE_CHECKING:\n    from p.b import X\n")
    (tmp_path / "b.py").write_text("from p import a\nimport p.a\n")
    assert list(imported(tmp_path / "a.py", {"p.a", "p.b"})) == ["p.b"]
    assert list(imported(tmp_path / "b.py", {"p.a", "p.b", "p"})) == ["p.a", "p.a"]


# -- layers of libs/edgeml

LIBRARY_LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "backoff": set(),
    "timestamps": set(),
    "log_throttle": set(),
    "parsing": {"timestamps"},
    "storage": set(),
    "config": {"errors"},
    "messages": {"errors", "parsing", "timestamps"},
    "timeline": {"messages", "timestamps"},
    "auth": {"errors", "messages", "storage", "timestamps"},
    "alarms": {"parsing", "timestamps"},
    "model": {"alarms", "config", "errors", "messages", "storage"},
    "cloud": {"backoff", "log_throttle", "messages", "timestamps"},
    "ipc": {"auth", "backoff", "errors", "log_throttle", "messages"},
    "runtime": {"auth", "backoff", "config", "errors", "ipc", "log_throttle", "messages", "parsing", "storage", "timestamps"},
}
"""Package or module of libs/edgeml -> the packages and modules of libs/edgeml that it imports. Lower ones come first."""


def package_imports(library: Path) -> dict[str, set[str]]:
    """Package or module directly in a library -> those of the same library that it imports."""
    found: dict[str, set[str]] = {}
    for path in library.rglob("*.py"):
        part = path.relative_to(library).parts[0].removesuffix(".py")
        if part != "__init__":
            found.setdefault(part, set()).update(imported_parts(path, library.name) - {part})
    return found


def imported_parts(path: Path, library: str) -> set[str]:
    """Packages and modules directly in a library that a file imports, for its annotations and inside functions too."""
    parts: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        parts |= {name.split(".")[1] for name in names if name.startswith(f"{library}.")}
    return parts


def test_library_packages_import_only_lower_layers() -> None:
    lower: set[str] = set()
    for part, allowed in LIBRARY_LAYERS.items():
        assert allowed <= lower, f"{part}: {allowed - lower} is not below it in the table"
        lower.add(part)
    assert {part: found - LIBRARY_LAYERS.get(part, set()) for part, found in package_imports(LIBS / "edgeml").items()} == dict.fromkeys(
        LIBRARY_LAYERS, set()
    )


def test_layer_rule_sees_imports_and_unplaced_packages(tmp_path: Path) -> None:
    library = tmp_path / "edgeml"
    (library / "messages").mkdir(parents=True)
    (library / "__init__.py").write_text("import edgeml.ipc\n")
    (library / "new.py").write_text("import edgeml.errors\n")
    (library / "messages" / "codec.py").write_text("def f():\n    from edgeml import errors\n    from edgeml.messages import x\n")
    (library / "messages" / "x.py").write_text("from edgeml.auth.envelope import sign\nimport edgemlish.y\n")
    assert package_imports(library) == {"new": {"errors"}, "messages": {"errors", "auth"}}


# --- Packages of the components, of training and of the command line ---

PACKAGES: dict[str, dict[str, set[str]]] = {
    "sensor_ingestion": {
        "": set(),
        "sources": {"edgeml"},
        "asset_ranges": {"edgeml"},
        "checkpoint": {"edgeml"},
        "command_journal": {"edgeml"},
        "time_faults": {"edgeml"},
        "quality": {"edgeml", "sources"},
        "command_handler": {"edgeml", "command_journal"},
        "options": {"edgeml", "asset_ranges", "sources"},
        "capture": {"edgeml", "options"},
        "asset_pipeline": {
            "edgeml",
            "checkpoint",
            "command_handler",
            "command_journal",
            "options",
            "quality",
            "sources",
            "time_faults",
        },
        "service": {"edgeml", "asset_pipeline", "capture", "command_journal", "options", "sources"},
        "__main__": {"edgeml", "options", "service"},
    },
    "inference": {
        "": set(),
        "baseline_files": {"edgeml"},
        "options": {"edgeml"},
        "recent_rows": {"edgeml"},
        "scoring_coverage": {"edgeml"},
        "unpacked_batch": {"edgeml"},
        "model_loader": {"edgeml", "options"},
        "scored_asset": {"edgeml", "scoring_coverage", "unpacked_batch"},
        "service": {"edgeml", "baseline_files", "model_loader", "options", "recent_rows", "scored_asset", "unpacked_batch"},
        "__main__": {"edgeml", "options", "service"},
    },
    "alert_dispatcher": {
        "": set(),
        "alert_message": {"edgeml"},
        "alert_text": {"edgeml"},
        "health_forwarder": {"edgeml"},
        "model_policies": {"edgeml"},
        "result_reporter": {"edgeml", "model_policies"},
        "state_schema": {"edgeml"},
        "alarm_expiry": {"edgeml", "alert_text"},
        "health_conditions": {"edgeml", "alert_text"},
        "state_db": {"edgeml", "state_schema"},
        "actions": {"edgeml", "health_conditions", "state_db"},
        "health_monitor": {"edgeml", "health_conditions", "state_db"},
        "alert_queue": {"edgeml", "actions", "alert_message", "state_db"},
        "alarm_recorder": {"edgeml", "alert_queue", "state_db"},
        "health_alarms": {"edgeml", "alarm_recorder", "health_forwarder", "health_monitor", "state_db"},
        "model_alarms": {"edgeml", "alarm_expiry", "alarm_recorder", "alert_text", "model_policies", "result_reporter", "state_db"},
        "options": {"edgeml", "actions", "alarm_expiry", "health_conditions", "health_forwarder", "model_policies", "result_reporter"},
        "service": {
            "edgeml",
            "actions",
            "alarm_recorder",
            "alert_queue",
            "health_alarms",
            "health_conditions",
            "health_forwarder",
            "health_monitor",
            "model_alarms",
            "model_policies",
            "options",
            "result_reporter",
            "state_db",
        },
        "__main__": {"edgeml", "options", "service"},
    },
    "model_training": {
        # Modules that training kinds and tools share, and the commands on top of them.
        "": {
            "edgeml",
            "gglocal",
            "sensor_ingestion",
            "anomaly",
            "datasets",
            "evaluation",
            "tables",
        },
        "datasets": {"edgeml", ""},
        "prepare": {"edgeml", "", "datasets"},
        "history": {"edgeml", "", "prepare"},
        "simulation": {""},
        "anomaly": {"edgeml", "gglocal", "sensor_ingestion", "", "datasets", "evaluation"},
        "tables": {"edgeml", "", "datasets", "history", "report"},
        "evaluation": {"edgeml", "gglocal", "sensor_ingestion", "", "history", "report"},
        "report": {"edgeml", "", "evaluation", "tables"},
        "parity": {"edgeml", "", "evaluation", "history"},
        "machine": {"edgeml", "", "evaluation", "history", "report"},
        "comparison": {"edgeml", "", "evaluation", "history", "machine", "report"},
        "sagemaker": {"edgeml", "gglocal", ""},
    },
    "edgeml_cli": {
        # The command itself. It loads the package of a verb by name, when the verb runs.
        "": set(),
        "build": {"edgeml", ""},
        "fleet": {"edgeml", "gglocal", "alert_dispatcher", "inference", "sensor_ingestion", "", "build"},
        "cloud": {"edgeml", "gglocal", "alert_dispatcher", "inference", "sensor_ingestion", "", "build", "fleet"},
        "demo": {"edgeml", "gglocal", "model_training", "", "build"},
        # The documentation, generated from the declarations.
        "site": {"edgeml", "gglocal", "alert_dispatcher", "inference", "sensor_ingestion", ""},
        "verify": {"edgeml", "gglocal", "alert_dispatcher", "inference", "sensor_ingestion", "", "build", "demo"},
    },
}
"""By distribution: each package or module, with the packages and distributions that it may import.

The name "" stands for modules directly in the distribution; in a component, where each such module has a row, for its `__init__`. A new
package, and a new module of a component, fails the test until it has a row.
"""
WITHOUT_EDGEML_CLI = {"alert_dispatcher", "edgeml", "gglocal", "inference", "model_training", "sensor_ingestion"}


def unit(module: str, known: dict[str, Path], placed: Collection[str]) -> str:
    """The row of a module within its distribution: its package; its own name if it has a row or is in a component; otherwise ""."""
    parts = module.split(".")
    if len(parts) == 1:
        return ""
    directly = len(parts) == 2 and known[module].name != "__init__.py"
    return parts[1] if parts[1] in placed or parts[0] in COMPONENTS or not directly else ""


def misplaced(distribution: str, table: dict[str, set[str]]) -> list[str]:
    """A sentence for each module without a row, and for each import that its row does not allow."""
    known, found = modules(), []
    for name, path in sorted(known.items()):
        if name.split(".")[0] != distribution:
            continue
        row = unit(name, known, table)
        if row not in table:
            found.append(f"{name} has no row in PACKAGES[{distribution!r}]")
            continue
        for other in sorted(set(imported(path, known))):
            top = other.split(".")[0]
            target = unit(other, known, table) if top == distribution else top
            # A distribution's own name is its `__init__`, which the import of any of its modules runs too.
            if target != row and other != distribution and target not in table[row]:
                found.append(f"{name} imports {other}, which the row {row!r} does not allow")
    return found


@pytest.mark.parametrize("distribution", PACKAGES)
def test_packages_import_only_what_their_rows_allow(distribution: str) -> None:
    assert misplaced(distribution, PACKAGES[distribution]) == []


def test_every_distribution_has_rows() -> None:
    assert {name.split(".")[0] for name in modules()} - {"edgeml", "gglocal"} == set(PACKAGES)


def test_edgeml_cli_is_imported_by_no_other_distribution() -> None:
    known = modules()
    assert {name.split(".")[0] for name in known} == {*WITHOUT_EDGEML_CLI, "edgeml_cli"}
    found = [(name, other) for name, path in known.items() for other in imported(path, known) if other.split(".")[0] == "edgeml_cli"]
    assert [(name, other) for name, other in found if name.split(".")[0] in WITHOUT_EDGEML_CLI] == []


def test_components_and_library_import_no_gglocal() -> None:
    assert not any("gglocal" in allowed for component in COMPONENTS for allowed in PACKAGES[component].values())
    known = modules()
    on_devices = [path for name, path in known.items() if name.split(".")[0] in (*COMPONENTS, "edgeml")]
    assert [(path, other) for path in on_devices for other in imported(path, known) if other.split(".")[0] == "gglocal"] == []


@pytest.mark.parametrize("distribution", [name for name in PACKAGES if name != "model_training"])
def test_rows_are_without_circles(distribution: str) -> None:
    graphlib.TopologicalSorter(PACKAGES[distribution]).prepare()


def test_a_new_package_and_a_forbidden_import_are_reported() -> None:
    without_verify = {name: allowed for name, allowed in PACKAGES["edgeml_cli"].items() if name != "verify"}
    assert any(line.startswith("edgeml_cli.verify") and "has no row" in line for line in misplaced("edgeml_cli", without_verify))
    without_service = {name: allowed for name, allowed in PACKAGES["inference"].items() if name != "service"}
    assert "inference.service has no row in PACKAGES['inference']" in misplaced("inference", without_service)
    forbidden = {**PACKAGES["edgeml_cli"], "demo": {"edgeml", "gglocal", ""}}
    found = misplaced("edgeml_cli", forbidden)
    assert "edgeml_cli.demo.main imports edgeml_cli.build.package, which the row 'demo' does not allow" in found


# --- The tree as a whole ---


def test_the_version_is_that_of_the_gdk_configuration() -> None:
    """In every place that `edgeml dev version` writes; and pyproject.toml reads one of them."""
    wanted = Project.read(ROOT).version
    assert read_versions(ROOT) == dict.fromkeys(VERSION_PATTERNS, {wanted}) and edgeml.__version__ == wanted
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project and 'version = { attr = "edgeml.__version__" }' in project


def test_no_file_names_a_place_on_the_authors_machine() -> None:
    places = "|".join(re.escape(f"/{name}/") for name in ("work", "root"))
    pattern = re.compile(rf"(?<![\w.}}>*~-])(?:{places})")
    found = []
    for path in files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    assert found == []


SOURCES = [path for folder in ("libs", "components", "scripts", "model_training") for path in sorted((ROOT / folder).rglob("*.py"))]
UNVERIFIED = re.compile(
    r"verify(_ssl|_mode|_hostname)?\s*=\s*(False|0|ssl\.CERT_NONE)|CERT_NONE|check_hostname\s*=\s*False|unverified_context|tls_insecure_set"
)


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """(name as it is written, call) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def risky(paths: list[Path], names: set[str]) -> list[str]:
    """Calls that give a text to a shell, and those of `names`."""
    found = []
    for path in paths:
        for name, call in calls(path):
            given = [each.value for each in call.keywords if each.arg == "shell"]
            shell = any(not isinstance(value, ast.Constant) or value.value for value in given)
            if shell or name in names or name in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"):
                found.append(f"{path.relative_to(ROOT)}:{call.lineno}: {name}")
            elif "/bin/sh" in ast.unparse(call) and "subprocess" in name:
                found.append(f"{path.relative_to(ROOT)}:{call.lineno}: /bin/sh")
    return found


def test_no_shell_is_given_a_text_but_that_of_a_recipe() -> None:
    assert [where.split(":")[0] for where in risky(SOURCES, set())] == ["libs/gglocal/process/script.py"]


def test_on_a_device_nothing_that_comes_in_is_run() -> None:
    shipped = [path for path in SOURCES if path.is_relative_to(LIBS / "edgeml") or path.is_relative_to(ROOT / "components")]
    running = {"eval", "exec", "compile", "pickle.load", "pickle.loads", "marshal.loads", "yaml.load", "numpy.load", "np.load"}
    assert risky(shipped, running) == []


def test_tls_is_verified_wherever_it_is_opened() -> None:
    assert [str(path) for path in SOURCES if UNVERIFIED.search(path.read_text(encoding="utf-8"))] == []


def test_these_rules_see_what_they_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("subprocess.run(text, shell=True)\nos.system(text)\neval(text)\nrun(text, shell=False)\n")
    assert risky([tmp_path / "a.py"], {"eval"}) == ["a.py:1: subprocess.run", "a.py:2: os.system", "a.py:3: eval"]
    for text in ("session.get(url, verify=False)", "context.verify_mode = ssl.CERT_NONE", "client.tls_insecure_set(True)"):
        assert UNVERIFIED.search(text)


def files() -> Iterator[Path]:
    """Every file that is, or would be, in the repository."""
    stack = [ROOT]
    while stack:
        for path in sorted(stack.pop().iterdir()):
            hidden = path.name.startswith(".") and path.name not in (".ci", ".gitignore")
            if path.is_symlink() or hidden or path.name in SKIPPED or path.suffix == ".egg-info":
                continue
            if path.is_dir():
                stack.append(path)
            else:
                yield path


OPENED_ELSEWHERE = {
    ("libs/edgeml/storage/regular_files.py", "os.open"): "it is the function that all others use",
    (
        "libs/edgeml/model/install_bundle.py",
        "os.open",
    ): "it runs without the library, and opens as edgeml.storage.regular_files does; the folder that is synced",
    ("libs/edgeml/runtime/install_venv.py", "(venv / STAMP).read_text"): "it runs before the library can be imported, on files of its own",
    ("libs/edgeml/runtime/install_venv.py", "(wheels / TARGETS).read_text"): "part of the artifact",
    ("libs/edgeml/runtime/install_venv.py", "lock.read_text"): "part of the artifact",
    ("libs/edgeml/runtime/install_venv.py", "requirements.read_bytes"): "part of the artifact",
    ("libs/edgeml/timestamps.py", "Path('/proc/sys/kernel/random/boot_id').read_text"): "a file of the kernel",
    ("libs/edgeml/storage/sqlite_file.py", "os.open"): "the folder that is synced",
    ("libs/edgeml/storage/sqlite_file.py", "sqlite3.connect"): "SQLite opens its own file, which is looked at before",
    ("components/sensor_ingestion/checkpoint.py", "os.open"): "the folder that is synced",
    ("components/sensor_ingestion/sources/jsonl.py", "os.open"): "the source requires a FIFO, opened without blocking",
}
"""(file, call) -> why it need not go through edgeml.storage.regular_files."""


def opening(paths: list[Path]) -> set[tuple[str, str]]:
    """Calls that open something to read it; writing to a new name of one's own is none."""
    found = set()
    for path in paths:
        for name, call in calls(path):
            last = name.rpartition(".")[2]
            texts = [
                each.value
                for each in (*call.args[:2], *(each.value for each in call.keywords if each.arg == "mode"))
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
            writes = any(re.fullmatch("[wax]b?", text) for text in texts) or "os.O_EXCL" in ast.unparse(call)
            ours = name in ("self._bus.open", "bus.open")
            opens = last in ("open", "read_bytes", "read_text", "loadtxt", "fromfile", "memmap") or name in ("sqlite3.connect", "np.load")
            if opens and not writes and not ours:
                found.add((path.relative_to(ROOT).as_posix(), name))
    return found


def test_files_that_others_name_are_opened_by_one_function() -> None:
    """A FIFO or a device in the place of a file must hold up no component."""
    places = [path for folder in ("libs/edgeml", "components") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert opening(places) == set(OPENED_ELSEWHERE)


def test_the_rule_sees_what_opens_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("open(p)\np.open('rb')\np.open('w')\nq.read_bytes()\nos.open(p, os.O_RDONLY)\nos.open(p, os.O_EXCL)\n")
    assert opening([tmp_path / "a.py"]) == {("a.py", "open"), ("a.py", "p.open"), ("a.py", "q.read_bytes"), ("a.py", "os.open")}


# -- gglocal's packages

GGLOCAL = LIBS / "gglocal"
GGLOCAL_ROOT = {"errors", "message_plugins", "payload_text", "profile", "root_dir", "topic_filter", "valid_names"}
"""Modules that every package of gglocal may import, and that import each other alone."""
GGLOCAL_LAYERS: dict[str, set[str]] = {
    "recipe": set(),
    "iot_core": set(),
    "process": {"recipe"},
    "core": {"recipe", "iot_core"},
    "deployment": {"recipe", "iot_core", "process", "core"},
    "ipc": {"iot_core", "core", "deployment"},
    "faults": {"core", "deployment", "ipc"},
    "api": {"iot_core", "process", "core", "deployment", "ipc", "faults"},
    "cli": {"recipe", "process", "deployment", "ipc", "faults", "api"},
}
"""Package -> packages that it may import, besides itself and the root modules; from the lowest to the highest."""


def layer_violations(folder: Path, root_modules: set[str], layers: dict[str, set[str]]) -> list[str]:
    """Imports that the table does not allow, packages and root modules that it does not list, and entries that do not exist."""
    violations = []
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    violations += [f"{name} is not listed" for name in sorted((packages - layers.keys()) | (modules - root_modules))]
    violations += [f"{name} does not exist" for name in sorted((layers.keys() - packages) | (root_modules - modules))]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        own = parts[0] if len(parts) > 1 else ""
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                first, _, rest = name.partition(".")
                target = rest.partition(".")[0]
                if first == folder.name and target != own and target not in root_modules | layers.get(own, set()):
                    violations.append(f"{path.relative_to(folder)} imports {name}")
    return violations


def test_gglocal_packages_import_lower_packages_only() -> None:
    assert layer_violations(GGLOCAL, GGLOCAL_ROOT, GGLOCAL_LAYERS) == []
    assert tuple(graphlib.TopologicalSorter(GGLOCAL_LAYERS).static_order())[-1] == "cli"
    placed = list(GGLOCAL_LAYERS)
    assert all(placed.index(lower) < placed.index(name) for name, layer in GGLOCAL_LAYERS.items() for lower in layer)


def test_gglocal_layer_rule_reports_each_violation(tmp_path: Path) -> None:
    folder = tmp_path / "lib"
    for package in ("low", "high", "new"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    (folder / "base.py").write_text("from lib.low import x\n")
    (folder / "extra.py").touch()
    (folder / "low" / "a.py").write_text("def f():\n    from lib.high.b import y\nfrom lib import base, extra\nimport lib.low.c\n")
    (folder / "high" / "b.py").write_text("import lib.low.a\nfrom lib.base import z\n")
    assert layer_violations(folder, {"base"}, {"low": set(), "high": {"low"}, "gone": set()}) == [
        "extra is not listed",
        "new is not listed",
        "gone does not exist",
        "base.py imports lib.low.x",
        "low/a.py imports lib.extra",
        "low/a.py imports lib.high.b.y",
    ]


def test_gglocal_modules_have_at_most_400_lines() -> None:
    assert [path.name for path in GGLOCAL.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []
