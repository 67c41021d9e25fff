// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cgroup_skb, both ways: every IP packet of the run's sockets, whole. The skb is seen before segmentation on the way
 * out and after coalescing on the way in, so 64 KiB is usual and BIG TCP goes up to 512 KiB: chunks of at most one size
 * class 3 each. The verdict is always 1 (pass): this program only looks.
 */
#define PACKET_DATA(class) ((class) - sizeof(struct packet_event))

struct packet_common {
	u64 at_ns;
	u64 cookie;
	u64 packet;
	u32 netns;
	u32 direction;
	u32 seen;
	u32 reserved;
	struct address_pair addresses;
	u64 sk; /* 0 where it cannot be known */
};

static inline_always void fill_packet(struct packet_event *event, struct packet_common *common, u32 offset, u32 length)
{
	event->head.type = EVENT_PACKET;
	event->head.length = sizeof(*event) + length;
	event->head.at_ns = common->at_ns;
	event->head.pid = 0; /* softirq: whoever happens to run */
	event->head.tid = 0;
	event->cookie = common->cookie;
	event->packet = common->packet;
	event->netns = common->netns;
	event->seen = common->seen;
	event->offset = offset;
	event->copied = length;
	event->direction = common->direction;
	event->reserved = 0;
	event->addresses = common->addresses;
}

/*
 * One chunk into one reservation; `class` is a constant after inlining. The verifier must see both bounds of the length
 * right before the copy, and older ones learn nothing from a comparison with 0: so it is length - 1 that is compared,
 * and the barrier keeps the compiler from undoing that. 64 bits wide, because a 32-bit value is compared by way of a
 * shifted copy, and what is learned of the copy is lost.
 */
static inline_always void emit_packet(struct __sk_buff *skb, struct packet_common *common, u32 offset, u64 length,
				      const u32 class)
{
	struct packet_event *event = events.ringbuf_reserve(class);
	u64 last = length - 1;

	if (!event) {
		count(COUNTER_RING_FULL_PACKET, 1);
		count(COUNTER_RING_FULL_PACKET_BYTES, length);
		return;
	}
	fill_packet(event, common, offset, length);
	asm volatile("" : "+r"(last));
	if (last >= PACKET_DATA(class) || bpf_skb_load_bytes(skb, offset, (void *)event + sizeof(*event), last + 1)) {
		count(COUNTER_PACKET_READ_FAILED, 1);
		events.ringbuf_discard(event, 0);
		return;
	}
	events.ringbuf_submit(event, 0);
}

/*
 * One word of a struct bpf_sock. In assembly, because the compiler likes to form the member's address first, and the
 * verifier allows no arithmetic on a socket pointer: only a load at a constant offset.
 */
#define SOCKET_WORD(sk, member)                                                                                        \
	({                                                                                                             \
		u64 word;                                                                                              \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                                                  \
			     : "=r"(word)                                                                              \
			     : "r"(sk), "i"(__builtin_offsetof(struct bpf_sock, member)));                             \
		(u32) word;                                                                                            \
	})

static inline_always void socket_of(struct packet_common *common, struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	u32 *local = (u32 *)common->addresses.local, *remote = (u32 *)common->addresses.remote;

	if (!sk)
		return;
	common->addresses.family = sk->family;
	common->addresses.local_port = sk->src_port;
	common->addresses.remote_port = __builtin_bswap16(sk->dst_port);
	if (common->addresses.family == 10) {
		local[0] = SOCKET_WORD(sk, src_ip6[0]);
		local[1] = SOCKET_WORD(sk, src_ip6[1]);
		local[2] = SOCKET_WORD(sk, src_ip6[2]);
		local[3] = SOCKET_WORD(sk, src_ip6[3]);
		remote[0] = SOCKET_WORD(sk, dst_ip6[0]);
		remote[1] = SOCKET_WORD(sk, dst_ip6[1]);
		remote[2] = SOCKET_WORD(sk, dst_ip6[2]);
		remote[3] = SOCKET_WORD(sk, dst_ip6[3]);
	} else {
		local[0] = SOCKET_WORD(sk, src_ip4);
		remote[0] = SOCKET_WORD(sk, dst_ip4);
	}
#ifdef HAVE_PROBE_READ_IN_SKB
	/*
	 * A program may not turn the socket into an address. But a pointer that lies on the stack can be read by a
	 * helper as plain bytes, and what comes back is a number.
	 */
	struct bpf_sock *volatile spilled = sk;

	READ_KERNEL(common->sk, (u64)&spilled);
	common->netns = read_netns(common->sk);
#endif
}

static inline_always int packet(struct __sk_buff *skb, u32 direction)
{
	struct packet_common common = {};
	u32 offset = 0, length;

	common.at_ns = bpf_ktime_get_ns();
	common.cookie = bpf_get_socket_cookie(skb);
	common.packet = (common.at_ns << 8) ^ bpf_get_smp_processor_id();
	common.direction = direction;
	common.seen = skb->len;
	socket_of(&common, skb);
#ifdef CGROUP_IS_SHARED
	/* The cgroup is shared with strangers: only the run's own sockets are looked at. */
	if (!sockets.lookup(&common.sk))
		return 1;
#endif

	/* Only the last chunk of a packet can be smaller than the largest class. */
	LOOP (chunk, 8) {
		if (common.seen - offset <= PACKET_DATA(CLASS_3))
			break;
		emit_packet(skb, &common, offset, PACKET_DATA(CLASS_3), CLASS_3);
		offset += PACKET_DATA(CLASS_3);
	}
	length = common.seen - offset;
	if (length > PACKET_DATA(CLASS_3))
		count(COUNTER_PACKET_TOO_LONG_BYTES, length);
	else if (length > PACKET_DATA(CLASS_2))
		emit_packet(skb, &common, offset, length, CLASS_3);
	else if (length > PACKET_DATA(CLASS_1))
		emit_packet(skb, &common, offset, length, CLASS_2);
	else if (length > PACKET_DATA(CLASS_0))
		emit_packet(skb, &common, offset, length, CLASS_1);
	else if (length > 0)
		emit_packet(skb, &common, offset, length, CLASS_0);
	return 1;
}

int packet_recv(struct __sk_buff *skb)
{
	return packet(skb, DIRECTION_RECV);
}

int packet_send(struct __sk_buff *skb)
{
	return packet(skb, DIRECTION_SEND);
}
