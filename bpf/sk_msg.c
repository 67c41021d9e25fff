// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `--tx sk_msg`: the egress bytes at an sk_msg program instead. sock_ops puts the sockets that the run's tasks connect
 * into a sockhash, and the kernel then passes each message to the program before TCP gets it. This puts the socket on
 * another send path (tcp_bpf_sendmsg), so it is chosen, never the default. The verdict is always SK_PASS.
 */
BPF_SOCKHASH(message_sockets, u64, 65536);

int socket_established(struct bpf_sock_ops *ops)
{
	u64 cookie;
	int refused;

	if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	cookie = bpf_get_socket_cookie(ops);
	/* BCC puts a statement in the call's place, so the call cannot stand in the condition. */
	refused = message_sockets.sock_hash_update(ops, &cookie, BPF_ANY);
	if (refused)
		count(COUNTER_SOCKETS_FULL, 1);
	return 1;
}

static inline_always void emit_message(struct egress_common *common, u64 from, u32 sequence, u32 seen, u64 length,
				       const u32 class)
{
	struct egress_event *event = events.ringbuf_reserve(class);

	if (!event) {
		count(COUNTER_RING_FULL_EGRESS, 1);
		count(COUNTER_RING_FULL_EGRESS_BYTES, length);
		return;
	}
	fill_egress(event, common, HOOK_SK_MSG, bpf_get_current_pid_tgid(), sequence, seen, length);
	asm volatile("" : "+r"(length));
	if (length > EGRESS_DATA(class) || read_kernel((void *)event + sizeof(*event), length, from)) {
		count(COUNTER_EGRESS_READ_FAILED, 1);
		event->copied = 0;
		event->head.length = sizeof(*event);
	}
	events.ringbuf_submit(event, 0);
}

int message(struct sk_msg_md *msg)
{
	struct bpf_sock *volatile spilled_sk = msg->sk;
	struct egress_common common = {};
	u64 from = 0, sk = 0, length = msg->size;
	void *volatile spilled_data;
	u32 sequence, seen = msg->size;

	if (length == 0)
		return SK_PASS;
	/* A message is a list of pieces, of which the program sees the first until it asks for all of them in one. */
	if (bpf_msg_pull_data(msg, 0, length, 0)) {
		count(COUNTER_SK_MSG_PULL_FAILED, 1);
		count(COUNTER_EGRESS_UNREADABLE_BYTES, length);
		return SK_PASS;
	}
	/* Pointers that lie on the stack are read back as numbers: see socket_of() in packets.c. */
	spilled_data = msg->data;
	read_kernel(&from, sizeof(from), (u64)&spilled_data);
	read_kernel(&sk, sizeof(sk), (u64)&spilled_sk);
	common.sk = sk;
	common.cookie = read_cookie(sk);
	common.netns = read_netns(sk);
	READ_KERNEL(common.write_sequence, sk + OFFSET_TCP_SOCK_WRITE_SEQ);
	read_addresses(&common.addresses, sk);
	sequence = common.write_sequence;

	LOOP (chunk, 8) {
		if (length <= EGRESS_DATA(CLASS_3))
			break;
		emit_message(&common, from, sequence, seen, EGRESS_DATA(CLASS_3), CLASS_3);
		from += EGRESS_DATA(CLASS_3);
		length -= EGRESS_DATA(CLASS_3);
		sequence += EGRESS_DATA(CLASS_3);
		seen -= EGRESS_DATA(CLASS_3);
	}
	if (length > EGRESS_DATA(CLASS_3))
		count(COUNTER_EGRESS_TOO_LONG_BYTES, length);
	else if (length > EGRESS_DATA(CLASS_2))
		emit_message(&common, from, sequence, seen, length, CLASS_3);
	else if (length > EGRESS_DATA(CLASS_1))
		emit_message(&common, from, sequence, seen, length, CLASS_2);
	else if (length > EGRESS_DATA(CLASS_0))
		emit_message(&common, from, sequence, seen, length, CLASS_1);
	else
		emit_message(&common, from, sequence, seen, length, CLASS_0);
	return SK_PASS;
}
