"""A name server on loopback's port 53, with answers that are late, negative or missing."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

ADDRESS = "127.53.0.53"


class Resolver:
    """``asked``: the (name, type) of each query, as often as it came."""

    def __init__(self, answers: dict[str, str], delay_s: float, *, silent: bool) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ADDRESS, 53))
        self.asked: list[tuple[str, str]] = []
        self._answers, self._delay_s, self._silent = answers, delay_s, silent

    def serve(self) -> None:
        while True:
            data, client = self.socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
            self.asked.append((name, kind))
            if self._silent:
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if name not in self._answers:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif kind == "A":
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", self._answers[name]))
            if self._delay_s:
                time.sleep(self._delay_s)
            self.socket.sendto(answer.to_wire(), client)


@contextlib.contextmanager
def resolving(answers: dict[str, str], delay_s: float = 0, *, silent: bool = False) -> Iterator[Resolver]:
    """Until the end of the block. Names that are not in ``answers`` do not exist; ``silent`` answers nothing."""
    resolver = Resolver(answers, delay_s, silent=silent)
    thread = threading.Thread(target=resolver.serve)
    thread.start()
    try:
        yield resolver
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", (ADDRESS, 53))
        thread.join(timeout=30)
        resolver.socket.close()
