/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Versions decide nothing here (features are tested for); BCC's headers only want the names to exist. */
#ifndef GOPROXY_EBPF_VERSION_H
#define GOPROXY_EBPF_VERSION_H
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#ifndef LINUX_VERSION_CODE
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 8, 0)
#endif
#endif
