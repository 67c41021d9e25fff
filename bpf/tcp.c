// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What TCP itself did with the run's sockets: state changes, retransmissions, resets. A socket joins the run when a
 * traced task connects it (the change to SYN_SENT happens in that task), and leaves at CLOSE.
 */
#define KERNEL_TCP_SYN_SENT 2
#define KERNEL_TCP_CLOSE 7

static inline_always void emit_tcp(u64 sk, struct socket_state *state, u32 what, u32 old_state, u32 new_state)
{
	struct tcp_event *event = events.ringbuf_reserve(sizeof(struct tcp_event));

	if (!event) {
		count(COUNTER_RING_FULL_TCP, 1);
		return;
	}
	fill_head(&event->head, EVENT_TCP, sizeof(*event), current_process());
	/* These hooks run in softirq as well: the owner is who connected the socket or sent on it, not who is current.
	 */
	event->head.pid = state->pid;
	event->head.tid = state->tid;
	event->what = what;
	event->old_state = old_state;
	event->state = new_state;
	event->cookie = read_cookie(sk);
	event->netns = read_netns(sk);
	READ_KERNEL(event->write_sequence, sk + OFFSET_TCP_SOCK_WRITE_SEQ);
	READ_KERNEL(event->next_sequence, sk + OFFSET_TCP_SOCK_SND_NXT);
	READ_KERNEL(event->unacknowledged, sk + OFFSET_TCP_SOCK_SND_UNA);
	READ_KERNEL(event->receive_sequence, sk + OFFSET_TCP_SOCK_RCV_NXT);
	READ_KERNEL(event->copied_sequence, sk + OFFSET_TCP_SOCK_COPIED_SEQ);
	READ_KERNEL(event->srtt_us, sk + OFFSET_TCP_SOCK_SRTT_US);
	event->srtt_us >>= 3; /* kept in eighths */
	read_addresses(&event->addresses, sk);
	events.ringbuf_submit(event, 0);
}

int on_inet_sock_set_state(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sk = ctx->args[0], pid_tgid;
	u32 old_state = ctx->args[1], new_state = ctx->args[2];
	struct socket_state *state = sockets.lookup(&sk), fresh = {};

	if (new_state == KERNEL_TCP_SYN_SENT && traced()) {
		pid_tgid = current_process();
		fresh.cookie = read_cookie(sk);
		fresh.pid = pid_tgid >> 32;
		fresh.tid = pid_tgid;
		if (sockets.update(&sk, &fresh))
			count(COUNTER_SOCKETS_FULL, 1);
		state = sockets.lookup(&sk);
	}
	if (!state)
		return 0;
	emit_tcp(sk, state, TCP_WHAT_STATE, old_state, new_state);
	if (new_state == KERNEL_TCP_CLOSE)
		sockets.delete(&sk);
	return 0;
}

static inline_always int happened(u64 sk, u32 what)
{
	struct socket_state *state = sockets.lookup(&sk);
	u8 current_state = 0;

	if (!state)
		return 0;
	READ_KERNEL(current_state, sk + OFFSET_SOCK_COMMON_SKC_STATE);
	emit_tcp(sk, state, what, current_state, current_state);
	return 0;
}

int on_tcp_retransmit_skb(struct bpf_raw_tracepoint_args *ctx)
{
	return happened(ctx->args[0], TCP_WHAT_RETRANSMIT);
}

int on_tcp_send_reset(struct bpf_raw_tracepoint_args *ctx)
{
	return happened(ctx->args[0], TCP_WHAT_RESET_SENT);
}

int on_tcp_receive_reset(struct bpf_raw_tracepoint_args *ctx)
{
	return happened(ctx->args[0], TCP_WHAT_RESET_RECEIVED);
}
