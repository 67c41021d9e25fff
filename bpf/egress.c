// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bytes that a task hands to TCP, read out of its own buffer where the socket lock is held: the raw tracepoint
 * tcp_sendmsg_locked (6.16 and newer), else a kprobe on the function of that name.
 *
 * The tracepoint fires once for each turn of the kernel's loop with what is left of the send: `copied_to` in the
 * socket's state keeps the same bytes from being copied again. A send that the socket did not take whole may be
 * followed by one of other bytes in the same place of the stream: it ends elsewhere, in memory or in the stream.
 * The bytes are offered here, not yet accepted; what was accepted is told by write_seq at the next event.
 */
/* The kprobe sees a send once, as a whole; the tracepoint again at each turn, with what is left. */
#ifdef EGRESS_BY_TRACEPOINT
#define EGRESS_ONCE false
#else
#define EGRESS_ONCE true
#endif

#define EGRESS_PIECES 8
#define EGRESS_DATA(class) ((class) - sizeof(struct egress_event))

struct egress_common {
	u64 sk;
	u64 cookie;
	u32 netns;
	u32 write_sequence;
	struct address_pair addresses;
};

static inline_always void fill_egress(struct egress_event *event, struct egress_common *common, u32 hook, u64 process,
				      u32 sequence, u32 seen, u32 length)
{
	fill_head(&event->head, EVENT_EGRESS, sizeof(*event) + length, process);
	event->cookie = common->cookie;
	event->netns = common->netns;
	event->hook = hook;
	event->sequence = sequence;
	event->write_sequence = common->write_sequence;
	event->seen = seen;
	event->copied = length;
	event->addresses = common->addresses;
}

/*
 * Copies one chunk; false where the sender's page is not present, which cannot be faulted in from here. At the
 * tracepoint the next turn of the kernel's loop tries again, so only bytes that the kernel takes in this very turn are
 * lost to us. `once`: nothing is tried again.
 */
static inline_always bool emit_egress(struct egress_common *common, u64 from, u32 sequence, u32 seen, u64 length,
				      const bool once, const u32 class)
{
	struct egress_event *event = events.ringbuf_reserve(class);

	if (!event) {
		count(COUNTER_RING_FULL_EGRESS, 1);
		count(COUNTER_RING_FULL_EGRESS_BYTES, length);
		return true;
	}
	fill_egress(event, common, HOOK_TCP_SENDMSG, current_process(), sequence, seen, length);
	asm volatile("" : "+r"(length));
	if (length > EGRESS_DATA(class) || read_user((void *)event + sizeof(*event), length, from)) {
		events.ringbuf_discard(event, 0);
		if (once || sequence == common->write_sequence)
			count(COUNTER_EGRESS_READ_FAILED, 1);
		return once;
	}
	events.ringbuf_submit(event, 0);
	return true;
}

/* One contiguous piece of the sender's memory. Gives the sequence number behind what was copied. */
static inline_always u32 egress_piece(struct egress_common *common, u64 from, u64 length, u32 sequence, u32 seen)
{
	bool copied;

	LOOP (chunk, 8) {
		if (length <= EGRESS_DATA(CLASS_3))
			break;
		if (!emit_egress(common, from, sequence, seen, EGRESS_DATA(CLASS_3), EGRESS_ONCE, CLASS_3))
			return sequence;
		from += EGRESS_DATA(CLASS_3);
		length -= EGRESS_DATA(CLASS_3);
		sequence += EGRESS_DATA(CLASS_3);
		seen -= EGRESS_DATA(CLASS_3);
	}
	if (length > EGRESS_DATA(CLASS_3)) {
		if (EGRESS_ONCE)
			count(COUNTER_EGRESS_TOO_LONG_BYTES, length);
		return sequence;
	}
	if (length > EGRESS_DATA(CLASS_2))
		copied = emit_egress(common, from, sequence, seen, length, EGRESS_ONCE, CLASS_3);
	else if (length > EGRESS_DATA(CLASS_1))
		copied = emit_egress(common, from, sequence, seen, length, EGRESS_ONCE, CLASS_2);
	else if (length > EGRESS_DATA(CLASS_0))
		copied = emit_egress(common, from, sequence, seen, length, EGRESS_ONCE, CLASS_1);
	else
		copied = emit_egress(common, from, sequence, seen, length, EGRESS_ONCE, CLASS_0);
	return copied ? sequence + length : sequence;
}

/*
 * A gathered send (writev of several buffers), which Go's TLS never makes: one smaller chunk a buffer. What does not
 * fit is counted; the packets have it.
 */
static inline_always u32 egress_pieces(struct egress_common *common, u64 vector, u64 pieces, u64 within, u64 left,
				       u32 sequence, u32 skip)
{
	LOOP (piece, EGRESS_PIECES) {
		u64 base = 0, length = 0;

		if (piece < pieces && left > 0) {
			READ_KERNEL(base, vector + 16 * piece);
			READ_KERNEL(length, vector + 16 * piece + 8);
			base += within + skip;
			length -= within;
			within = 0;
			if (length > left)
				length = left;
			if (skip >= length) {
				skip -= length;
			} else if (length - skip > EGRESS_DATA(CLASS_2)) {
				count(COUNTER_EGRESS_TOO_LONG_BYTES, length - skip);
				skip = 0;
			} else {
				emit_egress(common, base, sequence + skip, left - skip, length - skip, true, CLASS_2);
				skip = 0;
			}
			left -= length;
			sequence += length;
		}
	}
	if (left)
		count(COUNTER_EGRESS_TOO_LONG_BYTES, left);
	return sequence + left;
}

/* How struct iov_iter says what it holds: a bit mask with the direction in bit 0 up to 5.13, an enumeration since. */
#ifdef ITER_TYPE_IS_MASK
typedef u32 iter_type_t;
#define is_vector(type) (((type) & ~1U) == ITER_IOVEC_VALUE)
#else
typedef u8 iter_type_t;
#define is_vector(type) ((type) == ITER_IOVEC_VALUE)
#endif
#ifdef ITER_UBUF_VALUE
#define is_one_buffer(type) ((type) == ITER_UBUF_VALUE)
#else
#define is_one_buffer(type) false
#endif

static inline_always int egress(u64 sk, u64 msg)
{
	struct socket_state *state, fresh = {};
	struct egress_common common = {};
	u64 iter = msg + OFFSET_MSGHDR_MSG_ITER, left = 0, within = 0, vector = 0, pieces = 0, base = 0;
	u32 sequence, skip = 0;
	u64 pid_tgid, source;
	iter_type_t type = 0;

	if (!traced())
		return 0;
	READ_KERNEL(left, iter + OFFSET_IOV_ITER_COUNT);
	if (left == 0)
		return 0;
	common.sk = sk;
	READ_KERNEL(common.write_sequence, sk + OFFSET_TCP_SOCK_WRITE_SEQ);
	sequence = common.write_sequence;

	state = sockets.lookup(&sk);
	if (!state) {
		fresh.cookie = read_cookie(sk);
		sockets.update(&sk, &fresh);
		state = sockets.lookup(&sk);
		if (!state) {
			count(COUNTER_SOCKETS_FULL, 1);
			return 0;
		}
	}
	pid_tgid = current_process();
	state->pid = pid_tgid >> 32;
	state->tid = pid_tgid;
	READ_KERNEL(type, iter + OFFSET_IOV_ITER_TYPE);
	READ_KERNEL(within, iter + OFFSET_IOV_ITER_IOV_OFFSET);
	READ_KERNEL(vector, iter + OFFSET_IOV_ITER_IOV);
	READ_KERNEL(pieces, iter + OFFSET_IOV_ITER_NR_SEGS);
	/* The kernel moves on in both: along the one buffer, or along the array that lists the pieces. */
	source = is_one_buffer(type) ? vector + within + left : vector + 16 * pieces;
	/* What an earlier turn of this send copied already: it lies ahead of write_seq as it is not accepted yet. */
	if (!EGRESS_ONCE && state->source == source && state->send_end == sequence + (u32)left &&
	    (s32)(state->copied_to - sequence) > 0)
		skip = state->copied_to - sequence;
	state->source = source;
	state->send_end = sequence + (u32)left;
	if (skip >= left)
		return 0;
	common.cookie = read_cookie(sk);
	common.netns = read_netns(sk);
	read_addresses(&common.addresses, sk);

	if (is_one_buffer(type)) {
		/* `vector` is the buffer's address itself, `within` how far the kernel has come. */
		base = vector + within;
	} else if (!is_vector(type)) {
		count(COUNTER_EGRESS_UNREADABLE_BYTES, left - skip);
		state->copied_to = sequence + left;
		return 0;
	} else if (pieces == 1) {
		READ_KERNEL(base, vector);
		base += within;
	} else {
		state->copied_to = egress_pieces(&common, vector, pieces, within, left, sequence, skip);
		return 0;
	}
	state->copied_to = egress_piece(&common, base + skip, left - skip, sequence + skip, left - skip);
	return 0;
}

#ifdef EGRESS_BY_TRACEPOINT
int on_tcp_sendmsg_locked(struct bpf_raw_tracepoint_args *ctx)
{
	return egress(ctx->args[0], ctx->args[1]);
}
#else
int egress_kprobe(struct pt_regs *ctx)
{
	return egress(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}
#endif
