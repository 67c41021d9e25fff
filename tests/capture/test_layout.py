"""Both sides of the ring read the same bytes."""

import subprocess
from pathlib import Path

from goproxy_ebpf.capture import layout

ROOT = Path(__file__).resolve().parents[2]


def test_the_python_layout_is_what_the_header_makes():
    done = subprocess.run([ROOT / "scripts/layout", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_compiler_agrees_with_the_layout_about_every_size(tmp_path):
    names = [name for name in vars(layout) if name.endswith("_EVENT") and not name.startswith("EVENT_")]
    program = tmp_path / "sizes.c"
    program.write_text(
        "#include <stdio.h>\n"
        "typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32;\n"
        "typedef int __s32; typedef unsigned long long __u64;\n"
        f'#include "{ROOT / "bpf/events.h"}"\n'
        "int main(void) {\n"
        + "".join(f'printf("{name} %zu\\n", sizeof(struct {name.lower()}));\n' for name in names)
        + "}\n"
    )
    subprocess.run(["cc", "-o", tmp_path / "sizes", program], check=True)
    printed = subprocess.run([tmp_path / "sizes"], capture_output=True, text=True, check=True).stdout
    assert printed == "".join(f"{name} {getattr(layout, name).size}\n" for name in names)
    assert len(names) == 7
