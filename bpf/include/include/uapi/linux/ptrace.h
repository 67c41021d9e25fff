/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register frame that a kprobe or uprobe program is given (arch/x86/include/asm/ptrace.h; arm64: user_pt_regs). */
#ifndef GOPROXY_EBPF_PTRACE_H
#define GOPROXY_EBPF_PTRACE_H

#if defined(__aarch64__) || defined(bpf_target_arm64)
struct pt_regs {
	unsigned long long regs[31];
	unsigned long long sp;
	unsigned long long pc;
	unsigned long long pstate;
};
#else
struct pt_regs {
	unsigned long r15;
	unsigned long r14;
	unsigned long r13;
	unsigned long r12;
	unsigned long bp;
	unsigned long bx;
	unsigned long r11;
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long cs;
	unsigned long flags;
	unsigned long sp;
	unsigned long ss;
};
#endif

#endif
