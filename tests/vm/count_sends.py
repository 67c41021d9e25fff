"""Runs in the guest: a kprobe on tcp_sendmsg counts what a loopback connection of this process sends.

Prints ``ready`` when attached, then one JSON line: {"kernel": …, "sends": …, "bytes": …}.
"""

import ctypes
import json
import os
import socket
import sys

from bcc import BPF

PROGRAM = """
#include <uapi/linux/ptrace.h>
BPF_ARRAY(totals, u64, 2);
int sends(struct pt_regs *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 != PID)
		return 0;
	totals.increment(0);
	totals.increment(1, PT_REGS_PARM3(ctx));
	return 0;
}
"""


def main() -> None:
    count, size = int(sys.argv[1]), int(sys.argv[2])
    program = BPF(text=PROGRAM, cflags=[f"-DPID={os.getpid()}"])
    program.attach_kprobe(event="tcp_sendmsg", fn_name="sends")
    print("ready", flush=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        for _ in range(count):
            client.send(bytes(size))
            received = 0
            while received < size:
                received += len(peer.recv(size))
    totals = program["totals"]
    sends, sent = (totals[ctypes.c_int(index)].value for index in range(2))
    print(json.dumps({"kernel": os.uname().release, "sends": sends, "bytes": sent}))


main()
