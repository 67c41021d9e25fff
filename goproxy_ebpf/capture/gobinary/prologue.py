"""Finds the place behind a Go function's stack check, where a uprobe fires once a call with all arguments in place.

Outcomes: a Place · GoBinaryError "no stack check that is known". The forms are those of ``stacksplit`` in
cmd/internal/obj/{x86,arm64}: a small, a large and a huge frame. In the middle stands a comparison with
``g.stackguard0`` (16 bytes into g, which ABIInternal keeps in R14 and X28), then the jump to ``morestack``.
"""

import msgspec
from capstone import CS_ARCH_ARM64, CS_ARCH_X86, CS_MODE_64, CS_MODE_ARM, Cs, CsInsn
from capstone.arm64 import ARM64_OP_MEM, ARM64_OP_REG
from capstone.x86 import X86_OP_MEM, X86_OP_REG

from .model import GoBinaryError

CODE_BYTES = 96
MOST_INSTRUCTIONS = 12

# What the check itself may write: scratch registers that are neither arguments nor g (internal/abi: ABIInternal).
SCRATCH = {
    "amd64": frozenset({"r12", "r13", "rflags", "rip"}),
    "arm64": frozenset({"x16", "x17", "x27", "nzcv", "pc"}),
}
STACKGUARD = 16


class Place(msgspec.Struct, frozen=True):
    """``distance`` in bytes from the entry, and the instruction that stands there."""

    distance: int
    instruction: str
    length: int


def after_stack_check(code: bytes, size: int, arch: str) -> Place:
    """Where to probe a function of ``size`` bytes that starts with ``code``. Raises GoBinaryError."""
    if arch == "amd64":
        engine = Cs(CS_ARCH_X86, CS_MODE_64)
    elif arch == "arm64":
        engine = Cs(CS_ARCH_ARM64, CS_MODE_ARM)
    else:
        raise GoBinaryError(f"probe points are known for amd64 and arm64, not for {arch}")
    engine.detail = True
    compares_guard = _compares_guard_amd64 if arch == "amd64" else _compares_guard_arm64
    overflow, underflow = ("jbe", "jb") if arch == "amd64" else ("b.ls", "b.lo")
    loaded = guarded = checked = False
    for instruction in engine.disasm(code[: min(CODE_BYTES, size)], 0, MOST_INSTRUCTIONS):
        if checked:
            return Place(instruction.address, _words(instruction), instruction.size)
        name = instruction.mnemonic
        if name == overflow and guarded:
            checked = True
            _check_target(instruction, size)
        elif name == underflow:
            _check_target(instruction, size)
        elif name in ("cmp", "lea", "mov", "movz", "movk", "sub", "subs", "ldr"):
            guarded = guarded or compares_guard(instruction, loaded=loaded)
            loaded = loaded or _loads_guard_arm64(instruction)
        else:
            break
        if name != "cmp" and _written(instruction) - SCRATCH[arch]:  # capstone takes arm64's cmp for a subs that writes
            break
    raise GoBinaryError("no stack check that is known stands at its start")


def _compares_guard_amd64(instruction: CsInsn, *, loaded: bool) -> bool:
    """``cmp rsp, [r14 + 0x10]``, or r12 instead of rsp. Nothing is loaded first."""
    if instruction.mnemonic != "cmp" or len(instruction.operands) != 2:
        return False
    left, right = instruction.operands
    return bool(
        not loaded
        and left.type == X86_OP_REG
        and instruction.reg_name(left.reg) in ("rsp", "r12", "r13")
        and right.type == X86_OP_MEM
        and instruction.reg_name(right.mem.base) == "r14"
        and right.mem.index == 0
        and right.mem.disp == STACKGUARD
    )


def _loads_guard_arm64(instruction: CsInsn) -> bool:
    """``ldr x16, [x28, #16]``."""
    if instruction.mnemonic != "ldr" or len(instruction.operands) != 2:
        return False
    target, source = instruction.operands
    return bool(
        target.type == ARM64_OP_REG
        and instruction.reg_name(target.reg) == "x16"
        and source.type == ARM64_OP_MEM
        and instruction.reg_name(source.mem.base) == "x28"
        and source.mem.index == 0
        and source.mem.disp == STACKGUARD
    )


def _compares_guard_arm64(instruction: CsInsn, *, loaded: bool) -> bool:
    """``cmp sp, x16``, or x17 instead of sp, once x16 is loaded."""
    if not loaded or instruction.mnemonic != "cmp" or len(instruction.operands) != 2:
        return False
    right = instruction.operands[1]
    return bool(right.type == ARM64_OP_REG and instruction.reg_name(right.reg) == "x16")


def _check_target(instruction: CsInsn, size: int) -> None:
    """The call to ``morestack`` stands at the function's end."""
    target = instruction.operands[-1].imm
    if not instruction.address < target < size:
        raise GoBinaryError("the jump of its stack check leaves the function")


def _written(instruction: CsInsn) -> set[str]:
    return {str(instruction.reg_name(register)) for register in instruction.regs_access()[1]}


def _words(instruction: CsInsn) -> str:
    return f"{instruction.mnemonic} {instruction.op_str}".strip()
