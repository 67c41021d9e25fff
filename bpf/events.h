/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between the programs here and the Python side: every event that passes through the ring buffer, byte by
 * byte. goproxy_ebpf/capture/layout.py is generated from this file by scripts/layout, and a test expects no difference.
 *
 * Only fixed-width members, naturally aligned, no holes. `length` is how many bytes of the reservation are meant: a
 * reservation has one of four sizes, so that a small packet does not fill the ring with nothing.
 */
#ifndef GOPROXY_EBPF_EVENTS_H
#define GOPROXY_EBPF_EVENTS_H

enum event_type {
	EVENT_PACKET = 1,
	EVENT_EGRESS = 2,
	EVENT_SECRET = 3,
	EVENT_TRAFFIC_SECRET = 4,
	EVENT_EXEC = 5,
	EVENT_EXIT = 6,
	EVENT_TCP = 7,
};

enum egress_hook {
	HOOK_TCP_SENDMSG = 1,
	HOOK_SK_MSG = 2,
};

enum direction {
	DIRECTION_SEND = 0,
	DIRECTION_RECV = 1,
};

enum tcp_what {
	TCP_WHAT_STATE = 1,
	TCP_WHAT_RETRANSMIT = 2,
	TCP_WHAT_RESET_SENT = 3,
	TCP_WHAT_RESET_RECEIVED = 4,
};

/* What could not be written, and what is worth knowing: one 64-bit cell each. The names reach the user. */
enum counter {
	COUNTER_RING_FULL_PACKET = 0,	      /* packet chunks that found no room in the ring */
	COUNTER_RING_FULL_PACKET_BYTES = 1,   /* and their bytes */
	COUNTER_RING_FULL_EGRESS = 2,	      /* egress chunks that found no room */
	COUNTER_RING_FULL_EGRESS_BYTES = 3,   /* and their bytes */
	COUNTER_RING_FULL_SECRET = 4,	      /* secrets that found no room: their connections stay encrypted */
	COUNTER_RING_FULL_PROCESS = 5,	      /* exec and exit events that found no room */
	COUNTER_RING_FULL_TCP = 6,	      /* TCP events that found no room */
	COUNTER_PACKET_READ_FAILED = 7,	      /* bpf_skb_load_bytes refused */
	COUNTER_PACKET_TOO_LONG_BYTES = 8,    /* bytes of packets behind the last chunk that is copied */
	COUNTER_EGRESS_READ_FAILED = 9,	      /* the sender's buffer could not be read (a page not present) */
	COUNTER_EGRESS_TOO_LONG_BYTES = 10,   /* bytes of a send behind the last chunk that is copied */
	COUNTER_EGRESS_UNREADABLE_BYTES = 11, /* offered as pages (splice, kTLS, sk_msg), not as memory of a task */
	COUNTER_SECRET_READ_FAILED = 12,      /* a label, random or secret could not be read from the process */
	COUNTER_SOCKETS_FULL = 13,	      /* sockets that found no room in the table */
	COUNTER_SK_MSG_PULL_FAILED = 14,      /* bpf_msg_pull_data refused */
	COUNTER_COUNT = 15,
};

struct event_head {
	__u32 type;
	__u32 length;
	__u64 at_ns; /* CLOCK_MONOTONIC */
	__u32 pid;   /* thread group id: what user space calls the process id */
	__u32 tid;
};

/* A socket's own view of its two ends. IPv4 stands in the first 4 bytes; family is AF_INET (2) or AF_INET6 (10). */
struct address_pair {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family; /* 0: the packet had no socket */
	__u16 reserved;
};

struct packet_event {
	struct event_head head;
	__u64 cookie;
	__u64 packet; /* the same in all chunks of one packet */
	__u32 netns;
	__u32 seen;   /* the packet's length, from the IP header on */
	__u32 offset; /* of this chunk */
	__u32 copied; /* bytes of data behind this struct */
	__u32 direction;
	__u32 reserved;
	struct address_pair addresses;
};

struct egress_event {
	struct event_head head;
	__u64 cookie;
	__u32 netns;
	__u32 hook;
	__u32 sequence;	      /* TCP sequence number of the first byte of data */
	__u32 write_sequence; /* the socket's write_seq at this moment: all before it was accepted */
	__u32 seen;	      /* bytes offered from `sequence` on, in this chunk and behind it */
	__u32 copied;	      /* bytes of data behind this struct */
	struct address_pair addresses;
};

#define SECRET_LABEL_MAX 32
#define SECRET_MAX 64

struct secret_event {
	struct event_head head;
	__u32 label_length;
	__u32 secret_length;
	__u8 label[32];
	__u8 client_random[32];
	__u8 secret[64];
};

#define RECORD_PREFIX 64

struct traffic_secret_event {
	struct event_head head;
	__u64 half_connection;
	__u64 sequence;
	__u32 direction;
	__u32 version;
	__u32 secret_length;
	__u32 record_length; /* bytes of `record` that are meant */
	__u8 secret[64];
	__u8 record[64];
};

#define FILENAME_MAX_BYTES 256
#define ARGUMENTS_MAX_BYTES 1024

struct exec_event {
	struct event_head head;
	__u32 parent;
	__u32 filename_length;
	__u32 arguments_length;
	__u32 arguments_seen;
	__u8 filename[256];
	__u8 arguments[1024]; /* NUL-terminated strings, cut at the end if longer */
};

struct exit_event {
	struct event_head head;
	__u32 parent;
	__s32 status; /* a wait status */
};

struct tcp_event {
	struct event_head head;
	__u64 cookie;
	__u32 netns;
	__u32 what;
	__u32 old_state;
	__u32 state;
	__u32 write_sequence;
	__u32 next_sequence;
	__u32 unacknowledged;
	__u32 receive_sequence;
	__u32 copied_sequence;
	__u32 srtt_us; /* smoothed, in microseconds */
	struct address_pair addresses;
};

_Static_assert(sizeof(struct event_head) == 24, "event_head");
_Static_assert(sizeof(struct address_pair) == 40, "address_pair");
_Static_assert(sizeof(struct packet_event) == 104, "packet_event");
_Static_assert(sizeof(struct egress_event) == 96, "egress_event");
_Static_assert(sizeof(struct secret_event) == 160, "secret_event");
_Static_assert(sizeof(struct traffic_secret_event) == 184, "traffic_secret_event");
_Static_assert(sizeof(struct exec_event) == 1320, "exec_event");
_Static_assert(sizeof(struct exit_event) == 32, "exit_event");
_Static_assert(sizeof(struct tcp_event) == 112, "tcp_event");

#endif
