"""Which two ends a packet or record is about.

An end is bytes: the address (IPv4-mapped IPv6 as IPv4) and the port, 2 bytes. A connection's key is its network
namespace and its two ends, the smaller first: both of its sockets have the same.
"""

from goproxy_ebpf.records.capture import Packet
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses, unmapped

Key = tuple[int, bytes, bytes]


def full_socket(socket: SocketAddresses | None) -> SocketAddresses | None:
    """``socket``, if it has both ends; where it has not, the packet's addresses say more.

    A listener's own has no remote end (a SYN has no other socket yet), nor has an unconnected UDP socket's; one that
    was just closed has given its port back, while its RST is still to come.
    """
    if socket is None or socket.remote.port == 0 or socket.local.port == 0 or not any(socket.local.address):
        return None
    return socket


def end_of(endpoint: Endpoint) -> bytes:
    return unmapped(endpoint.address) + (endpoint.port & 0xFFFF).to_bytes(2, "big")


def endpoint_of(end: bytes) -> Endpoint:
    return Endpoint(end[:-2], int.from_bytes(end[-2:], "big"))


def sockets_of(sender: bytes, receiver: bytes, direction: Direction) -> SocketAddresses:
    """The local and the remote end of a packet that went this way."""
    addresses = SocketAddresses(endpoint_of(sender), endpoint_of(receiver))
    return addresses if direction is Direction.SEND else addresses.swapped


def key_of(netns: int, one: bytes, other: bytes) -> Key:
    return (netns, one, other) if one <= other else (netns, other, one)


def wire_ends(flow: bytes) -> tuple[bytes, bytes]:
    """Sender and receiver of a packet with this ``flow`` (see ``packet.Segment``), as on the wire."""
    size = (len(flow) - 4) // 2
    return unmapped(flow[:size]) + flow[-4:-2], unmapped(flow[size:-4]) + flow[-2:]


def ends_of(record: Packet, flow: bytes) -> tuple[bytes, bytes]:
    """Sender and receiver of a packet with this ``flow``: the socket's own addresses where they are known.

    NAT in OUTPUT changes the addresses on the wire, and on one side only: packets out show the original destination,
    packets in the translated source.
    """
    socket = full_socket(record.socket)
    if socket is None:
        return wire_ends(flow)
    local, remote = end_of(socket.local), end_of(socket.remote)
    return (local, remote) if record.direction is Direction.SEND else (remote, local)
