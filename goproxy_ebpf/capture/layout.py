"""Every event of the ring buffer, byte by byte. Written by scripts/layout from bpf/events.h: change it there."""

from struct import Struct

# enum event_type
EVENT_PACKET = 1
EVENT_EGRESS = 2
EVENT_SECRET = 3
EVENT_TRAFFIC_SECRET = 4
EVENT_EXEC = 5
EVENT_EXIT = 6
EVENT_TCP = 7

# enum egress_hook
HOOK_TCP_SENDMSG = 1
HOOK_SK_MSG = 2

# enum direction
DIRECTION_SEND = 0
DIRECTION_RECV = 1

# enum tcp_what
TCP_WHAT_STATE = 1
TCP_WHAT_RETRANSMIT = 2
TCP_WHAT_RESET_SENT = 3
TCP_WHAT_RESET_RECEIVED = 4

# enum counter
COUNTER_RING_FULL_PACKET = 0
COUNTER_RING_FULL_PACKET_BYTES = 1
COUNTER_RING_FULL_EGRESS = 2
COUNTER_RING_FULL_EGRESS_BYTES = 3
COUNTER_RING_FULL_SECRET = 4
COUNTER_RING_FULL_PROCESS = 5
COUNTER_RING_FULL_TCP = 6
COUNTER_PACKET_READ_FAILED = 7
COUNTER_PACKET_TOO_LONG_BYTES = 8
COUNTER_EGRESS_READ_FAILED = 9
COUNTER_EGRESS_TOO_LONG_BYTES = 10
COUNTER_EGRESS_UNREADABLE_BYTES = 11
COUNTER_SECRET_READ_FAILED = 12
COUNTER_SOCKETS_FULL = 13
COUNTER_SK_MSG_PULL_FAILED = 14
COUNTER_COUNT = 15

COUNTERS = (
    "ring_full_packet",
    "ring_full_packet_bytes",
    "ring_full_egress",
    "ring_full_egress_bytes",
    "ring_full_secret",
    "ring_full_process",
    "ring_full_tcp",
    "packet_read_failed",
    "packet_too_long_bytes",
    "egress_read_failed",
    "egress_too_long_bytes",
    "egress_unreadable_bytes",
    "secret_read_failed",
    "sockets_full",
    "sk_msg_pull_failed",
)

# type, length, at_ns, pid, tid
EVENT_HEAD = Struct("<IIQII")

# local, remote, local_port, remote_port, family, reserved
ADDRESS_PAIR = Struct("<16s16sHHHH")

# type, length, at_ns, pid, tid, cookie, packet, netns, seen, offset, copied, direction, reserved, local,
#   remote, local_port, remote_port, family, reserved
PACKET_EVENT = Struct("<IIQIIQQIIIIII16s16sHHHH")

# type, length, at_ns, pid, tid, cookie, netns, hook, sequence, write_sequence, seen, copied, local, remote,
#   local_port, remote_port, family, reserved
EGRESS_EVENT = Struct("<IIQIIQIIIIII16s16sHHHH")

# type, length, at_ns, pid, tid, label_length, secret_length, label, client_random, secret
SECRET_EVENT = Struct("<IIQIIII32s32s64s")

# type, length, at_ns, pid, tid, half_connection, sequence, direction, version, secret_length, record_length,
#   secret, record
TRAFFIC_SECRET_EVENT = Struct("<IIQIIQQIIII64s64s")

# type, length, at_ns, pid, tid, parent, filename_length, arguments_length, arguments_seen, filename,
#   arguments
EXEC_EVENT = Struct("<IIQIIIIII256s1024s")

# type, length, at_ns, pid, tid, parent, status
EXIT_EVENT = Struct("<IIQIIIi")

# type, length, at_ns, pid, tid, cookie, netns, what, old_state, state, write_sequence, next_sequence,
#   unacknowledged, receive_sequence, copied_sequence, srtt_us, local, remote, local_port, remote_port,
#   family, reserved
TCP_EVENT = Struct("<IIQIIQIIIIIIIIII16s16sHHHH")
