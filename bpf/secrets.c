// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS secrets out of Go's crypto/tls: a uprobe in (*Config).writeKeyLog, behind the stack check (at offset 0 it would
 * fire twice: morestack comes back there). No return probe: it kills a Go program, whose stacks move.
 *
 * Arguments by Go's register ABI: label (pointer, length), client random (pointer, length, capacity), secret (the
 * same), after the receiver. amd64: AX; BX CX; DI SI R8; R9 R10 R11. arm64: R0; R1 R2; R3 R4 R5; R6 R7 R8.
 */
#if defined(__aarch64__) || defined(bpf_target_arm64)
#define GO_ARGUMENT(ctx, n) ((ctx)->regs[n])
#define GO_RECEIVER(ctx) GO_ARGUMENT(ctx, 0)
#define GO_LABEL(ctx) GO_ARGUMENT(ctx, 1)
#define GO_LABEL_LENGTH(ctx) GO_ARGUMENT(ctx, 2)
#define GO_RANDOM(ctx) GO_ARGUMENT(ctx, 3)
#define GO_RANDOM_LENGTH(ctx) GO_ARGUMENT(ctx, 4)
#define GO_SECRET(ctx) GO_ARGUMENT(ctx, 6)
#define GO_SECRET_LENGTH(ctx) GO_ARGUMENT(ctx, 7)
#else
#define GO_RECEIVER(ctx) ((ctx)->ax)
#define GO_LABEL(ctx) ((ctx)->bx)
#define GO_LABEL_LENGTH(ctx) ((ctx)->cx)
#define GO_RANDOM(ctx) ((ctx)->di)
#define GO_RANDOM_LENGTH(ctx) ((ctx)->si)
#define GO_SECRET(ctx) ((ctx)->r9)
#define GO_SECRET_LENGTH(ctx) ((ctx)->r10)
#endif

int secret(struct pt_regs *ctx)
{
	u64 label_length = GO_LABEL_LENGTH(ctx), secret_length = GO_SECRET_LENGTH(ctx);
	struct secret_event *event;

	if (!traced())
		return 0;
	event = events.ringbuf_reserve(sizeof(struct secret_event));
	if (!event) {
		count(COUNTER_RING_FULL_SECRET, 1);
		return 0;
	}
	fill_head(&event->head, EVENT_SECRET, sizeof(*event), current_process());
	event->label_length = label_length;
	event->secret_length = secret_length;
	asm volatile("" : "+r"(label_length));
	asm volatile("" : "+r"(secret_length));
	if (GO_RANDOM_LENGTH(ctx) != 32 || label_length > sizeof(event->label) || secret_length > sizeof(event->secret))
		goto failed;
	if (read_user(event->label, label_length, GO_LABEL(ctx)) ||
	    read_user(event->client_random, 32, GO_RANDOM(ctx)) ||
	    read_user(event->secret, secret_length, GO_SECRET(ctx)))
		goto failed;
	events.ringbuf_submit(event, 0);
	return 0;
failed:
	count(COUNTER_SECRET_READ_FAILED, 1);
	events.ringbuf_discard(event, 0);
	return 0;
}

/*
 * The late way, for a process whose first handshakes were missed: the traffic secret and record sequence number stand
 * in the connection's crypto/tls.halfConn, which is the receiver of encrypt and decrypt. Only processes that user space
 * put into `layouts` are looked at, and each secret is reported once. Numbers of processes are used again, and
 * `layouts` is filled some time after the exec that it is for: so the process has to be the run's as well.
 */
struct half_connection_layout {
	u32 version;
	u32 sequence;
	u32 traffic_secret;
	u32 reserved;
};

struct reported_key {
	u64 half_connection;
	u64 secret_start;
};

BPF_HASH(layouts, u32, struct half_connection_layout, 4096);
BPF_TABLE("lru_hash", struct reported_key, u8, reported, 16384);

#define TLS_1_3 0x0304

static inline_always int traffic_secret(struct pt_regs *ctx, u32 direction)
{
	u64 half = GO_RECEIVER(ctx), secret_at = 0, secret_length = 0, record_length = 0, sequence = 0;
	struct half_connection_layout *layout;
	struct traffic_secret_event *event;
	struct reported_key key = {};
	u32 pid = current_process() >> 32;
	u16 version = 0;
	u8 yes = 1;

	layout = layouts.lookup(&pid);
	if (!layout || !traced())
		return 0;
	READ_USER(version, half + layout->version);
	if (version != TLS_1_3)
		return 0;
	READ_USER(secret_at, half + layout->traffic_secret);
	READ_USER(secret_length, half + layout->traffic_secret + 8);
	if (secret_length < 32 || secret_length > SECRET_MAX)
		return 0;
	key.half_connection = half;
	READ_USER(key.secret_start, secret_at);
	if (reported.lookup(&key))
		return 0;

	event = events.ringbuf_reserve(sizeof(struct traffic_secret_event));
	if (!event) {
		count(COUNTER_RING_FULL_SECRET, 1);
		return 0;
	}
	fill_head(&event->head, EVENT_TRAFFIC_SECRET, sizeof(*event), current_process());
	READ_USER(sequence, half + layout->sequence);
	event->half_connection = half;
	event->sequence = __builtin_bswap64(sequence); /* kept as it goes into the nonce: big-endian */
	event->direction = direction;
	event->version = version;
	event->secret_length = secret_length;
	event->record_length = 0;
	asm volatile("" : "+r"(secret_length));
	if (secret_length > sizeof(event->secret) || read_user(event->secret, secret_length, secret_at)) {
		count(COUNTER_SECRET_READ_FAILED, 1);
		events.ringbuf_discard(event, 0);
		return 0;
	}
	if (direction == DIRECTION_RECV) {
		/* decrypt(record []byte): the record is still as it came over the wire. */
		record_length = GO_LABEL_LENGTH(ctx);
		if (record_length > RECORD_PREFIX)
			record_length = RECORD_PREFIX;
		asm volatile("" : "+r"(record_length));
		if (record_length <= RECORD_PREFIX && !read_user(event->record, record_length, GO_LABEL(ctx)))
			event->record_length = record_length;
	}
	events.ringbuf_submit(event, 0);
	reported.update(&key, &yes);
	return 0;
}

int traffic_secret_encrypt(struct pt_regs *ctx)
{
	return traffic_secret(ctx, DIRECTION_SEND);
}

int traffic_secret_decrypt(struct pt_regs *ctx)
{
	return traffic_secret(ctx, DIRECTION_RECV);
}
