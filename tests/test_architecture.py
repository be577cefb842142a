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
from edgeml_cli.build.set_version import PLACES, found

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
    "model": {"alarms", "errors", "messages", "storage"},
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


# -- the whole tree


def test_the_version_is_that_of_the_gdk_configuration() -> None:
    """In every place that `scripts/version` writes; and pyproject.toml reads one of them."""
    wanted = Project.read(ROOT).version
    assert found(ROOT) == dict.fromkeys(PLACES, {wanted}) and edgeml.__version__ == wanted
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
    ("components/sensor_ingestion/sources/jsonl.py", "os.open"): "a FIFO is what is wanted there, opened without waiting",
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
