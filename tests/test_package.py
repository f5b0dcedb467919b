"""The package as a whole: what it imports, which names it offers, and that each layer knows only those below it."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import minigen
from minigen import Tensor

PACKAGE = Path(minigen.__file__).parent
FILES = {
    ".".join(("minigen", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
PACKAGES = [name for name, path in FILES.items() if path.name == "__init__.py"]

# -- the house: imports run downwards ----------------------------------------------------------------------------------

LAYERS = [  # the parts in one layer do not know each other
    {"backend", "files"},
    {"cublas", "processes"},
    {"capture", "kernels"},
    {"random"},
    {"autograd", "data"},
    {"gradcheck", "graph", "ops"},
    {"nn", "distributions", "profile"},
    {"optim", "checkpoint", "testing"},
    {"models"},
    {"evaluate", "train", "plot"},
    {"weights"},
]
LAYER = {part: number for number, parts in enumerate(LAYERS) for part in parts}


def imports(name: str) -> Iterator[str]:
    """Every file of minigen that this one imports, also inside functions, but not for type hints only."""
    hints_only = {
        id(node)
        for block in ast.walk(TREES[name])
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(TREES[name]):
        if id(node) in hints_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "minigen")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            if node.module and node.module.partition(".")[0] == "minigen":
                for alias in node.names:
                    file = f"{node.module}.{alias.name}"
                    yield file if file in FILES else node.module


def test_every_part_has_its_layer() -> None:
    assert {name.split(".")[1] for name in FILES if name != "minigen"} == LAYER.keys()


@pytest.mark.parametrize("name", [name for name in FILES if name != "minigen"])
def test_nothing_imports_upwards(name: str) -> None:
    part = name.split(".")[1]
    for imported in imports(name):
        assert imported != "minigen", f"{name} imports from the top"
        other = imported.split(".")[1]
        assert other == part or LAYER[other] < LAYER[part], f"{name} imports {imported}, which is not below it"
    if part == "data":
        others = {imported.split(".")[1] for imported in imports(name)}
        assert others <= {"data", "backend", "random"}, f"{name} needs more than the backend and random numbers"


def test_nothing_imports_in_a_circle() -> None:
    graph = {name: set(imports(name)) - {name} for name in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", ["minigen", *(f"minigen.{name}" for name in sorted(LAYER))])
def test_importing_it_loads_only_numpy(name: str) -> None:
    """Pillow, tqdm, Matplotlib and the others are imported where they are used."""
    code = f"""
import sys
import numpy, numpy.random
before = set(sys.modules)
import {name}
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names) - {{"numpy"}})
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.stdout.split(), result.stderr) == (["minigen"], "")


def test_what_is_imported_is_declared() -> None:
    """As a dependency of the project or of `minigen.testing`, by the name of its package; CuPy and MPI are extras."""
    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("not in the repository")
    declares = tomllib.loads(project.read_text())["project"]
    dependencies = declares["dependencies"] + declares["optional-dependencies"]["testing"]
    declared = {re.split("[>=<]", name)[0] for name in dependencies}
    packages, others = {"PIL": "pillow"}, {"minigen", "cupy", "cupyx", "mpi4py", "threadpoolctl"}
    found = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0] for name in names}
    used = {packages.get(name, name) for name in found - set(sys.stdlib_module_names) - others}
    assert used == declared


def test_the_library_does_not_print() -> None:
    """What it has to say is a result, an exception, or above a progress bar; only demos print."""
    prints = [
        f"{name}, line {node.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert not prints


# -- names -------------------------------------------------------------------------------------------------------------

NAMES = {
    "minigen": """Tensor tensor no_grad grad gradcheck detect_anomaly manual_seed default_dtype device save load
        graph profile ops nn optim data models train evaluate plot distributions testing autograd backend
        zeros ones full arange rand randn zeros_like ones_like one_hot""",
    "minigen.ops": """add subtract multiply divide negative pow abs exp log log1p sqrt square maximum minimum
        clip where tanh sigmoid relu leaky_relu softplus sum mean max min var logsumexp softmax log_softmax
        argmax argmin all any prod cumsum std sin cos floor round flatten swapaxes repeat take_along_axis einsum tril
        copy logical_and logical_or logical_not max_pool2d avg_pool2d layer_norm instance_norm
        reshape permute_dims squeeze expand_dims broadcast_to concat stack split pad flip getitem matmul linear
        conv2d conv_transpose2d masked_conv2d batch_norm lstm_cell lstm dropout
        cross_entropy binary_cross_entropy_with_logits mse_loss""",
    "minigen.nn": """Module Parameter Sequential ModuleList Linear Conv2d MaskedConv2d ConvTranspose2d
        BatchNorm1d BatchNorm2d LSTM LSTMCell RowLSTM DiagonalBiLSTM ReLU LeakyReLU Tanh Sigmoid Flatten Unflatten
        Dropout Embedding Identity Softmax Softplus SiLU ELU LayerNorm InstanceNorm2d MaxPool2d AvgPool2d Upsample""",
    "minigen.optim": "SGD Adam AdamW RMSprop linear_decay cosine_decay clip_grad_norm WeightEMA",
    "minigen.distributions": "Bernoulli Normal DiscretizedLogistic",
    "minigen.models": "VAE Likelihood BernoulliLikelihood GaussianLikelihood DiscretizedLogisticLikelihood",
    "minigen.data": "load Loader Dataset NAMES load_folder toy",
    "minigen.evaluate": "bits_per_dim mean_over Classifier trained_classifier report_on frechet_distance latent",
    "minigen.plot": "mosaic titled save_figure save_grid save_pairs save_curves",
    "minigen.testing": "check_derivatives check_module check_same_on check_mutants changed_derivative Case",
    "minigen.testing.strategies": "shapes broadcastable_to axis_of axes_of uniform well_separated SEEDS Cases",
    "minigen.train": "train MaximumLikelihood Diverged Interrupted",
}


@pytest.mark.parametrize("module", NAMES)
def test_the_public_names_exist(module: str) -> None:
    found = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(found, name)]
    assert not missing
    if hasattr(found, "__all__"):
        assert set(NAMES[module].split()) <= set(found.__all__)


def test_the_public_parts_of_a_tensor() -> None:
    names = """data grad shape ndim dtype device requires_grad backward detach numpy item to
        sum mean max min var reshape permute_dims astype T argmax argmin all any prod cumsum std sin cos floor round
        flatten swapaxes repeat take_along_axis copy tolist"""
    x = minigen.tensor([1.0])
    assert not [name for name in names.split() if not hasattr(x, name)]


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_what_the_package_imports(name: str) -> None:
    module, tree = importlib.import_module(name), TREES[name]
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]  # also those made when first used
    ours = [node for node in nodes if (node.module or "").startswith("minigen")]
    stars = [importlib.import_module(str(node.module)).__all__ for node in ours if node.names[0].name == "*"]
    imported = [alias.asname or alias.name for node in ours for alias in node.names if alias.name != "*"]
    if stars:  # then the names come from the modules, and the modules themselves are not among them
        imported = [name for names in stars for name in names]
    assert sorted(imported) == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)


def test_the_upper_layers_are_imported_when_first_used() -> None:
    code = "import sys, minigen; before = 'minigen.train' in sys.modules; minigen.train.train; print(before)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("False\n", "")
    with pytest.raises(AttributeError, match="module 'minigen' has no attribute 'trian'"):
        _ = minigen.trian  # type: ignore[attr-defined]
    assert set(dir(minigen)) == set(minigen.__all__)


def public_definitions(name: str) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """What a file defines for others: in a package, what the package offers."""
    package = name.rpartition(".")[0]
    offered = importlib.import_module(package).__all__ if package in PACKAGES and package != "minigen" else None
    for node in TREES[name].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            public = not node.name.startswith("_") if offered is None else node.name in offered
            if public:
                yield node


@pytest.mark.parametrize("name", FILES)
def test_every_file_and_public_name_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(TREES[name]), f"{name} has no docstring"
    overloads = lambda node: any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)
    missing = [node.name for node in public_definitions(name) if not ast.get_docstring(node) and not overloads(node)]
    assert not missing, f"{name}: no docstring"


def test_every_public_function_has_type_hints() -> None:
    missing = []
    for name in FILES:
        for node in public_definitions(name):
            functions = [node] if isinstance(node, ast.FunctionDef) else []
            if isinstance(node, ast.ClassDef):
                functions = [f for f in node.body if isinstance(f, ast.FunctionDef)]
            for f in functions:
                arguments = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
                unhinted = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
                if unhinted or f.returns is None:
                    missing.append(f"{name}.{node.name}.{f.name}: {unhinted or 'what it returns'}")
    assert not missing


def test_the_version_is_that_of_the_project() -> None:
    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("not in the repository")
    assert f'version = "{minigen.__version__}"' in project.read_text()
    assert isinstance(minigen.tensor([1.0]), Tensor)
