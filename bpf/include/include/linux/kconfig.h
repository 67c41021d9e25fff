/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BCC asks the kernel's configuration for one thing: that bpf() exists. A kernel without it fails at the first load. */
#define CONFIG_BPF_SYSCALL 1
