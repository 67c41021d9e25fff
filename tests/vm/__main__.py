"""``scripts/kernels``: a command on each of Debian's stock kernels, two machines at a time, a line for each."""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.vm.kernels import SUITES, Unavailable
from tests.vm.machine import CHECKOUT, MachineFailed, run_in_vm

SMOKE = ("/usr/bin/python3", "tests/vm/count_sends.py", "5", "100")


def run(command: list[str], timeout: float, kernel: str) -> tuple[str, bool, str]:
    """What to print of one kernel: a verdict, whether it is good, the output."""
    stubs = {"BCC_KERNEL_SOURCE": str(CHECKOUT / "bpf/include")}
    try:
        done = run_in_vm(command, kernel=kernel, timeout=timeout, environment=stubs)
    except Unavailable as error:
        return f"{kernel}: not to be had: {error}", False, ""
    except MachineFailed as error:
        return f"{kernel}: the machine failed", False, str(error)
    except subprocess.TimeoutExpired as error:
        return f"{kernel}: not done after {timeout:.0f} s", False, f"{error.output}{error.stderr}"
    verdict = f"{kernel}: {done.release}: exit status {done.returncode} after {done.seconds:.1f} s"
    return verdict, done.returncode == 0, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/kernels", description=__doc__)
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS")
    parser.add_argument("kernel", nargs="*", metavar="KERNEL", help=f"default: all of {', '.join(SUITES)}")
    own, dashes, command = split(sys.argv[1:])
    options = parser.parse_args(own)
    if dashes and not command:
        parser.error("no command after --")
    good = True
    with ThreadPoolExecutor(2) as pool:
        job = partial(run, command or list(SMOKE), options.timeout)
        for verdict, well, output in pool.map(job, options.kernel or SUITES):
            print(verdict, *output.splitlines(), sep="\n    ", flush=True)
            good = good and well
    return 0 if good else 1


def split(words: list[str]) -> tuple[list[str], bool, list[str]]:
    """Our own words, whether there was a ``--``, and the command behind it."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], at < len(words), words[at + 1 :]


sys.exit(main())
