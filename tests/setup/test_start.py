"""scripts/goproxy-ebpf: sets up what is missing, and hands the program exactly what its caller gave."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.setup.stand_in import START, build, start, tree

CACHE = Path("/var/cache/goproxy-ebpf")
NOBODY = pwd.getpwnam("nobody")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="set-up is root's")


@pytest.fixture(scope="module")
def checkout():
    """A stand-in whose environment has been made, open to other users; the environment is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="goproxy-ebpf-start-") as folder:
        Path(folder).chmod(0o755)
        made = build(Path(folder) / "checkout", salt=folder)
        first = start(made, "doctor")
        yield made
        shutil.rmtree(json.loads(first.stdout)["prefix"])


def seen(done):
    assert (done.returncode, done.stderr) == (3, "")
    return json.loads(done.stdout)


def test_the_program_sees_the_directory_arguments_and_environment_of_its_caller(checkout, tmp_path):
    given = {
        "PATH": os.environ["PATH"],
        "GOPROXY": "a,b|direct",
        "PYTHONPATH": "/nowhere",
        "PWD": str(tmp_path),
        "SHLVL": "4",
    }
    words = ["trace", "--", "go", "build", "./...", "two  words", "", "*"]
    program = seen(start(checkout, *words, cwd=tmp_path, env=given))
    environment = program["environment"]
    environment.pop("_", None)  # a shell's own: the path of what it started last
    assert environment == given
    assert program["directory"] == str(tmp_path)
    assert program["argv"] == ["goproxy-ebpf", *words]


def test_the_program_takes_the_place_of_the_script_and_inherits_no_descriptor(checkout):
    program = seen(start(checkout, "report"))
    assert program["parent"] == os.getpid()
    assert program["descriptors"] == ["0", "1", "2", "3"]  # 3: the listing itself


def test_the_package_is_the_checkouts_own_even_through_a_link_and_with_another_one_on_the_path(checkout, tmp_path):
    (tmp_path / "goproxy_ebpf").mkdir()
    (tmp_path / "goproxy_ebpf/__init__.py").write_text("raise SystemExit('the wrong package')")
    (tmp_path / "linked").symlink_to(checkout / START)
    done = subprocess.run(
        [tmp_path / "linked", "report"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert seen(done)["package"] == str(checkout / "goproxy_ebpf/cli/main.py")


def test_root_leaves_nothing_in_the_checkout_nor_in_the_home_directory(tmp_path):
    made = build(tmp_path / "checkout", salt=str(tmp_path))
    home = tmp_path / "home"
    home.mkdir()
    before = tree(tmp_path)
    unset = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = start(made, "trace", cwd=home, env={**unset, "HOME": str(home)})
    prefix = Path(json.loads(done.stdout)["prefix"])
    try:
        assert done.stderr == f"goproxy-ebpf: making a Python environment in {prefix}\n"
        assert tree(tmp_path) == before
        assert prefix.parent == CACHE
        assert list((CACHE / "pycache").rglob(f"{str(made)[1:]}/goproxy_ebpf/cli/main.*.pyc"))
    finally:
        shutil.rmtree(prefix)


def test_two_first_starts_at_once_make_one_environment_and_both_work(tmp_path):
    made = build(tmp_path / "checkout", salt=str(tmp_path))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([made / START, "report"], **pipes) for _ in range(2)]
    ends = [(*process.communicate(), process.returncode) for process in both]
    prefix = {json.loads(output)["prefix"] for output, _, _ in ends}
    try:
        assert [status for _, _, status in ends] == [3, 3]
        assert "".join(errors for _, errors, _ in ends).count("making a Python environment") == 1
        assert len(prefix) == 1
    finally:
        shutil.rmtree(prefix.pop())


def test_a_half_made_environment_is_made_anew(checkout):
    prefix = Path(seen(start(checkout, "report"))["prefix"])
    (prefix / "complete").unlink()
    (prefix / "bin/python").unlink()
    (prefix / "of the broken one").touch()
    done = start(checkout, "report")
    assert (done.returncode, done.stderr) == (3, f"goproxy-ebpf: making a Python environment in {prefix}\n")
    assert not (prefix / "of the broken one").exists()


def test_a_package_that_has_gone_from_the_environment_is_said_and_comes_back(checkout):
    prefix = Path(seen(start(checkout, "report"))["prefix"])
    shutil.rmtree(next(prefix.glob("lib/python3*/site-packages/hyperframe")))
    done = start(checkout, "report")
    assert done.returncode == 125
    again = "run the command again: it will be made anew"
    assert done.stderr == f"goproxy-ebpf: {prefix} is damaged (no module hyperframe): {again}\n"
    assert start(checkout, "report").returncode == 3


def test_when_all_is_there_the_start_costs_less_than_thirty_milliseconds(checkout):
    prefix = seen(start(checkout, "trace"))["prefix"]
    bare = [f"{prefix}/bin/python", "-I", "-X", f"pycache_prefix={CACHE}/pycache", checkout / "scripts/run.py", "trace"]

    def fastest(command):
        times = []
        for _ in range(15):
            begin = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            times.append(time.perf_counter() - begin)
        return min(times)

    assert fastest([checkout / START, "trace"]) - fastest(bare) < 0.030


def as_nobody(home: Path) -> dict[str, object]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    return {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": [], "env": environment}


def test_trace_without_root_is_one_line_that_says_what_needs_it_and_125(checkout, tmp_path):
    done = start(checkout, "trace", "--", "go", "build", **as_nobody(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (125, "", 1)
    assert done.stderr.startswith("goproxy-ebpf: trace needs root to load its BPF programs: sudo ")


def test_offline_commands_without_root_use_the_environment_that_root_made(checkout, tmp_path):
    assert seen(start(checkout, "report", **as_nobody(tmp_path)))["prefix"].startswith(f"{CACHE}/venv-")


def test_offline_commands_without_root_make_their_own_environment_where_root_made_none(checkout, tmp_path):
    folder = checkout.parent / "own"
    made = build(folder / "checkout", salt=str(tmp_path))
    home = folder / "home"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    done = start(made, "report", **as_nobody(home))
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["prefix"].startswith(f"{home}/.cache/goproxy-ebpf/venv-")
    assert done.stderr.startswith("goproxy-ebpf: making a Python environment in ")


def test_without_apt_what_to_install_is_said_in_one_line(checkout, tmp_path):
    """A system of another kind: no apt-get on the path, and no BCC where Debian has it."""
    other = build(tmp_path / "checkout", salt=str(tmp_path))
    library = other / "scripts/lib.sh"
    library.write_text(library.read_text().replace("/bcc/__init__.py", "/bcc/absent.py"))
    (tmp_path / "bin").mkdir()
    for name in ("bash", "env", "readlink", "mkdir", "flock", "cat", "sha256sum"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    done = start(other, "trace", env={"PATH": str(tmp_path / "bin")})
    assert (done.returncode, len(done.stderr.splitlines())) == (125, 1)
    assert "no apt: install BCC's Python module (Fedora, openSUSE: python3-bcc; Arch: python-bcc" in done.stderr
