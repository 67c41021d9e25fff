/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BCC includes this before everything; nothing of it is needed. */
