"""README's commands, as a user with sudo types them on a fresh Debian 12 and a fresh Debian 13."""

import re

import pytest

from tests.setup.roots import HOME, FreshRoot
from tests.setup.stand_in import CHECKOUT

pytestmark = [pytest.mark.fresh, pytest.mark.timeout(600)]

PYTHONS = {"bookworm": "python3.11", "trixie": "python3.13"}
NEEDED = "goproxy-ebpf: installing Debian packages: ca-certificates python3 python3-bpfcc python3-venv"
CACHE = "/var/cache/goproxy-ebpf"


@pytest.fixture(scope="module", params=list(PYTHONS))
def root(request, tmp_path_factory):
    """One root a release; the tests of this file run in it one after the other, as the user's commands would."""
    with FreshRoot(request.param, tmp_path_factory.mktemp("fresh")) as made:
        made.clone(CHECKOUT)
        made.run("mkdir project")
        yield made


def lines(text: str, start: str = "goproxy-ebpf: ") -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_the_first_start_from_a_project_installs_what_is_missing_and_says_so(root):
    assert root.run("command -v python3 || command -v go").output == ""
    done = root.run("sudo ~/goproxy-ebpf/scripts/goproxy-ebpf doctor", directory=HOME / "project")
    packages, tracing, python, *rest = lines(done.errors)
    assert packages == NEEDED
    assert tracing == "goproxy-ebpf: mounting tracefs on /sys/kernel/tracing"
    assert python.startswith(f"goproxy-ebpf: making a Python environment in {CACHE}/venv-{PYTHONS[root.suite]}-")
    assert rest == []
    assert "Traceback" not in done.errors
    assert "BCC" in done.output


def test_the_second_start_says_nothing_and_finds_bcc(root):
    done = root.run("sudo ~/goproxy-ebpf/scripts/goproxy-ebpf doctor", directory=HOME / "project")
    assert lines(done.errors) == []
    assert "BCC" in done.output


def test_an_unknown_command_is_127_and_one_line(root):
    done = root.run("sudo ~/goproxy-ebpf/scripts/goproxy-ebpf trace -- no-such-command", directory=HOME / "project")
    assert (done.status, len(done.errors.splitlines())) == (127, 1)


def test_the_user_reads_reports_without_sudo(root):
    done = root.run("~/goproxy-ebpf/scripts/goproxy-ebpf report absent", directory=HOME / "project")
    assert (done.status, len(done.errors.splitlines())) == (2, 1)
    assert root.run("ls ~/.cache/goproxy-ebpf").output.split() == ["pycache"]  # root's environment serves


def test_the_demo_traces_a_real_go_through_the_built_in_proxy_and_removes_everything(root):
    done = root.run("sudo ~/goproxy-ebpf/scripts/demo")
    assert done.status == 0, done.errors
    first, *_ = lines(done.errors)
    assert first == "goproxy-ebpf: installing Debian packages: golang-go"
    report = done.errors.split(first)[1]
    assert [line.split()[0] for line in lines(report, "HEALTHY")] == ["HEALTHY"], report
    assert [line.rsplit(" · ", 1)[1] for line in report.splitlines() if "gress " in line] == ["lost 0 B", "lost 0 B"]
    assert root.run("ls -d /tmp/*").output == ""


def test_install_puts_the_program_on_everybodys_path_and_uninstall_takes_it_away(root):
    done = root.run("sudo ~/goproxy-ebpf/scripts/install")
    assert done.status == 0, done.errors
    assert (
        root.run("sudo goproxy-ebpf doctor").output
        == root.run("sudo ~/goproxy-ebpf/scripts/goproxy-ebpf doctor").output
    )
    assert root.run("goproxy-ebpf --help").status == 0
    assert root.run("head -n 1 /usr/local/share/man/man1/goproxy-ebpf.1").output.startswith(".TH GOPROXY-EBPF 1 ")
    completion = root.run(". /usr/local/share/bash-completion/completions/goproxy-ebpf && complete -p goproxy-ebpf")
    assert completion.output == "complete -o nosort -F _goproxy_ebpf_completion goproxy-ebpf\n"
    done = root.run("sudo ~/goproxy-ebpf/scripts/install --uninstall")
    assert done.status == 0, done.errors
    assert root.run("find /usr/local -iname '*goproxy*'").output == ""


def test_scripts_test_runs_the_suite_on_a_fresh_machine(root):
    """Its set-up, whole; of the suite only what needs no time: the suite does not run inside itself."""
    done = root.run("sudo CI=true ~/goproxy-ebpf/scripts/test -q tests/test_layers.py tests/setup/test_skips.py")
    assert done.status == 0, done.output + done.errors
    assert re.fullmatch(r"\d+ passed in .*", done.output.splitlines()[-1])


def test_the_demo_needs_no_network(root):
    """The second time, in a network namespace with nothing but loopback."""
    done = root.run("sudo unshare --net sh -c 'ip link set lo up && ~dev/goproxy-ebpf/scripts/demo'")
    assert done.status == 0, done.errors


def test_nothing_of_roots_is_left_in_the_users_home(root):
    assert root.owned_by_root() == []
    assert root.run("cd ~/goproxy-ebpf && git status --short --ignored").output == ""
