/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ring buffers are sized in pages; a size only has to be a power of two and a multiple of the real page size. */
#ifndef GOPROXY_EBPF_PAGE_H
#define GOPROXY_EBPF_PAGE_H
#define PAGE_SIZE 4096
#endif
