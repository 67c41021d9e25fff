"""In CI a skip is a failure unless it is listed; elsewhere it is a skip. An expected failure is neither."""

import os
import re
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).resolve().parent.parent / "conftest.py"

SUITE = {
    "test_mark.py": "import pytest\n@pytest.mark.skip(reason='not today')\ndef test_a(): pass\n",
    "test_call.py": "import pytest\ndef test_b(): pytest.skip('no kernel')\n",
    "test_module.py": "import pytest\npytest.importorskip('no_such_module_of_ours')\n",
    "test_expected.py": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_c(): assert False\n",
}


def closing_line(folder: Path, **environment: str) -> str:
    for name, text in {**SUITE, "conftest.py": CONFTEST.read_text()}.items():
        (folder / name).write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    # By file: an error while collecting one would end the run before the others.
    command = [sys.executable, "-m", "pytest", "--continue-on-collection-errors", "-p", "no:cacheprovider", str(folder)]
    bare = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(command, env=bare | environment, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[-1].strip("= ").rsplit(" in ", 1)[0]


def test_skips_are_failures_in_ci(tmp_path):
    assert closing_line(tmp_path, CI="true") == "1 failed, 1 xfailed, 2 errors"


def test_skips_are_skips_elsewhere(tmp_path):
    assert closing_line(tmp_path) == "3 skipped, 1 xfailed"


def test_a_listed_skip_is_a_skip_in_ci_too(tmp_path, monkeypatch):
    listed = 'EXPECTED_SKIPS: dict[str, str] = {"test_b": "no kernel", "test_m": "could not import", "test_a": "other"}'
    text, found = re.subn(r"^EXPECTED_SKIPS.*?\}$", listed, CONFTEST.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert found == 1
    changed = tmp_path / "changed.py"
    changed.write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "CONFTEST", changed)
    (tmp_path / "suite").mkdir()
    assert closing_line(tmp_path / "suite", CI="true") == "2 skipped, 1 xfailed, 1 error"
