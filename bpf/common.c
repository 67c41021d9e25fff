// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What every program shares: the ring, the counters, the table of the run's sockets, and who is traced. The loader puts
 * events.h and this file before the hooks, and defines
 *
 *   RING_PAGES, TRACED_CGROUP, TRACED_LEVEL      this run's
 *   OFFSET_<STRUCT>_<MEMBER>, ITER_…             this kernel's, from its BTF
 *   HAVE_…                                       what this kernel was found to allow
 */
#include <uapi/linux/ptrace.h>

#define inline_always inline __attribute__((always_inline))

/*
 * A loop that the verifier walks and counts. Left alone, the compiler makes it end at an address or an offset instead
 * of a number of turns, of which the verifier sees no end; the barrier keeps the counter a thing of its own.
 */
#define LOOP(counter, turns)                                                                                           \
	_Pragma("nounroll") for (u32 counter = 0; counter < (turns); counter++, ({ asm volatile("" : "+r"(counter)); }))

/* Reservations in the ring have a constant size: the data that fits beside the event's struct, by size class. */
#define CLASS_0 256
#define CLASS_1 2048
#define CLASS_2 16384
#define CLASS_3 65536

BPF_RINGBUF_OUTPUT(events, RING_PAGES);
BPF_ARRAY(counters, u64, COUNTER_COUNT);

struct socket_state {
	u64 cookie;
	u32 pid;
	u32 tid;
	u64 source;    /* where the memory of the last send ends: another turn of the same send has the same */
	u32 send_end;  /* and the sequence number that its last byte would get */
	u32 copied_to; /* sequence number behind the last byte of it that was copied at the egress hook */
};

/* The run's sockets, by address: from connect() or the first send of a traced task to the state CLOSE. */
BPF_HASH(sockets, u64, struct socket_state, 65536);

static inline_always void count(u32 which, u64 amount)
{
	u64 *cell = counters.lookup(&which);

	if (cell)
		__sync_fetch_and_add(cell, amount);
}

/*
 * Process and thread number of the current task, as this program's own /proc has them: in a container they are not the
 * kernel's. A task that our namespace of numbers does not hold has the kernel's.
 */
static inline_always u64 current_process(void)
{
#ifdef PID_NAMESPACE
	struct bpf_pidns_info info = {};

	if (!bpf_get_ns_current_pid_tgid(PID_NAMESPACE_DEVICE, PID_NAMESPACE, &info, sizeof(info)))
		return (u64)info.tgid << 32 | info.pid;
#endif
	return bpf_get_current_pid_tgid();
}

/*
 * Whether the current task belongs to the run: its cgroup is the run's, or lies below it. Where the run can have no
 * cgroup of its own, or the kernel does not tell a task's ancestor cgroups to these programs (5.10), the processes are
 * kept instead (TASKS_BY_PROCESS), by the kernel's number: processes.c enters the first, which user space knows by its
 * own number only (followed), and its children.
 */
#ifdef TASKS_BY_PROCESS
BPF_HASH(traced_processes, u32, u8, 65536);
BPF_HASH(followed, u32, u8, 1);

static inline_always bool traced(void)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	return traced_processes.lookup(&pid) != NULL;
}
#else
static inline_always bool traced(void)
{
	return bpf_get_current_ancestor_cgroup_id(TRACED_LEVEL) == TRACED_CGROUP;
}
#endif

static inline_always void fill_head(struct event_head *head, u32 type, u32 length, u64 pid_tgid)
{
	head->type = type;
	head->length = length;
	head->at_ns = bpf_ktime_get_ns();
	head->pid = pid_tgid >> 32;
	head->tid = pid_tgid;
}

/*
 * Calls of the helpers stand in functions of our own: where BCC finds bpf_probe_read_user in a program's own body it
 * reads all of /proc/kallsyms to see whether the kernel has it, which costs most of a second.
 */
static inline_always long read_user(void *to, u64 length, u64 from)
{
	return bpf_probe_read_user(to, length, (const void *)from);
}

static inline_always long read_kernel(void *to, u64 length, u64 from)
{
	return bpf_probe_read_kernel(to, length, (const void *)from);
}

#define READ_KERNEL(to, from) read_kernel(&(to), sizeof(to), from)
#define READ_USER(to, from) read_user(&(to), sizeof(to), from)

/* The two ends of a struct sock, as the socket itself has them. */
static inline_always void read_addresses(struct address_pair *pair, u64 sk)
{
	u16 port_be = 0;

	READ_KERNEL(pair->family, sk + OFFSET_SOCK_COMMON_SKC_FAMILY);
	READ_KERNEL(pair->local_port, sk + OFFSET_SOCK_COMMON_SKC_NUM);
	READ_KERNEL(port_be, sk + OFFSET_SOCK_COMMON_SKC_DPORT);
	pair->remote_port = __builtin_bswap16(port_be);
	/* At the change to CLOSE the port is given back already; the field for the header still has it. */
	if (pair->local_port == 0) {
		READ_KERNEL(port_be, sk + OFFSET_INET_SOCK_INET_SPORT);
		pair->local_port = __builtin_bswap16(port_be);
	}
	pair->reserved = 0;
	if (pair->family == 10) {
		READ_KERNEL(pair->local, sk + OFFSET_SOCK_COMMON_SKC_V6_RCV_SADDR);
		READ_KERNEL(pair->remote, sk + OFFSET_SOCK_COMMON_SKC_V6_DADDR);
	} else {
		__builtin_memset(pair->local, 0, sizeof(pair->local));
		__builtin_memset(pair->remote, 0, sizeof(pair->remote));
		read_kernel(pair->local, 4, sk + OFFSET_SOCK_COMMON_SKC_RCV_SADDR);
		read_kernel(pair->remote, 4, sk + OFFSET_SOCK_COMMON_SKC_DADDR);
	}
}

static inline_always u32 read_netns(u64 sk)
{
	u64 net = 0;
	u32 inode = 0;

	READ_KERNEL(net, sk + OFFSET_SOCK_COMMON_SKC_NET);
	READ_KERNEL(inode, net + OFFSET_NET_NS_INUM);
	return inode;
}

static inline_always u64 read_cookie(u64 sk)
{
	u64 cookie = 0;

	READ_KERNEL(cookie, sk + OFFSET_SOCK_COMMON_SKC_COOKIE);
	return cookie;
}
