"""What is missing: gaps by layer and reason."""

import msgspec

from ..records.log import Gap

MAX_REASONS = 64
"""Reasons that are told apart. They are ours and few; a damaged log may hold any."""


class GapTotal(msgspec.Struct):
    """All gaps of one layer and reason. ``length_bytes`` is in bytes of that layer, ``records`` counts lost records."""

    layer: str
    reason: str
    count: int = 0
    length_bytes: int = 0
    records: int = 0
    connections: list[int] = []


class Losses(msgspec.Struct):
    """Gaps, summed up in order of first appearance."""

    totals: list[GapTotal] = []
    keys: dict[tuple[str, str], int] = {}

    def feed(self, gap: Gap) -> None:
        key = (gap.layer, gap.reason)
        index = self.keys.get(key)
        if index is None:
            if len(self.totals) >= MAX_REASONS:
                key = ("", "other reasons")
                index = self.keys.get(key)
            if index is None:
                index = self.keys[key] = len(self.totals)
                self.totals.append(GapTotal(*key))
        total = self.totals[index]
        total.count += 1
        total.length_bytes += gap.length
        total.records += gap.records
        if gap.conn and gap.conn not in total.connections and len(total.connections) < MAX_REASONS:
            total.connections.append(gap.conn)
