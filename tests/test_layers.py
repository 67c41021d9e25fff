"""Nothing imports against the flow: the order of the folders is the order of the data."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "goproxy_ebpf"

# Each may import those before it. ``capture`` stands beside the pure layers: nobody but ``cli`` imports it.
ORDER = (
    "records",
    "capfile",
    "streams",
    "tls",
    "dns",
    "http2",
    "framelog",
    "pipeline",
    "trace",
    "modules",
    "diagnose",
    "report",
    "export",
    "check",
    "probe",
    "route",
    "lab",
    "capture",
    "cli",
)
ALONE = {
    "capture": {"records", "capfile"},
    "lab": set(),
    "streams": {"records"},
    "tls": {"records"},
    "dns": {"records"},
}
PURE = ("records", "streams", "tls", "dns", "http2", "pipeline", "trace", "modules", "diagnose", "report", "check")
SIDE_EFFECTS = {"socket", "subprocess", "time", "bcc", "asyncio", "os", "threading", "random"}


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    """Absolute names of the modules that a file imports, function bodies included."""
    package = ["goproxy_ebpf", *path.relative_to(ROOT).parent.parts]
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, node.module] if node.module else base)
            found += [f"{stem}.{alias.name}" for alias in node.names]
    return found


def files() -> list[Path]:
    return [
        path
        for path in sorted(ROOT.rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py") or path.parent != ROOT
    ]


def test_every_folder_has_a_place_in_the_order():
    assert {layer_of(path) for path in files()} - set(ORDER) == set()


def test_no_file_imports_against_the_order():
    wrong = []
    for path in files():
        layer = layer_of(path)
        allowed = ALONE.get(layer, set(ORDER[: ORDER.index(layer)])) | {layer, "__version__"}
        if layer not in ("cli",):
            allowed -= {"capture", "lab"} - {layer}
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "goproxy_ebpf" and len(parts) > 1 and parts[1] not in allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_pure_layers_have_no_clock_no_socket_and_no_process():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files()
        if layer_of(path) in PURE
        for name in imports(path)
        if name.split(".")[0] in SIDE_EFFECTS
    ]
    assert wrong == []
