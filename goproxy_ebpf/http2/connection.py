"""One HTTP/2 connection: plaintext of both directions to frames, windows and exchanges (RFC 9113).

Outcomes: ``Frame``, ``Exchange`` and ``Gap`` records. There is no error: a frame that breaks a rule carries a ``note``,
bytes that give no frame are a ``Gap``.

A HEADERS or PUSH_PROMISE frame whose block goes on in CONTINUATIONs is given out when the block is complete, with its
own time. ``conn`` is set, ``n`` is not: frames are numbered when all connections are put in order.
"""

from collections.abc import Callable, Iterable

from ..records.common import Direction
from ..records.flow import Plaintext, PlaintextEnd, PlaintextGap
from ..records.log import Exchange, Frame, Gap, HeaderList, WindowChange
from . import names
from .block import HeaderBlock
from .exchanges import Exchanges
from .framing import RawFrame
from .headers import HeaderDecoder
from .order import Ended, Item, Missing, Order
from .payload import Payload, data_padding, read
from .reader import Reader
from .windows import Ledger

Output = Frame | Exchange | Gap


class Http2:
    """``client`` is the direction in which the client's bytes go: SEND where the traced process is the client.

    ``late``: neither direction's beginning was seen. Header lists and windows are unknown then.
    """

    def __init__(self, connection: int, client: Direction, *, late: bool = False) -> None:
        self._connection = connection
        self._client = client
        self._out: list[Output] = []
        self._ended: list[Exchange] = []
        self._order = Order(client)
        self._ledger = Ledger(known=not late)
        self._exchanges = Exchanges(connection, client, self._ended.append)
        self._readers = {way: Reader(way, self._streams(way), client=way is client, late=late) for way in Direction}
        self._decoders = {way: HeaderDecoder(known=not late) for way in Direction}
        self._blocks: dict[Direction, HeaderBlock] = {}
        if late:
            self._join_late()

    def feed(self, event: Plaintext | PlaintextGap | PlaintextEnd) -> list[Output]:
        direction = event.direction
        reader = self._readers[direction]
        late, begun = reader.late, reader.begun
        items: Iterable[Item]
        if isinstance(event, Plaintext):
            items = reader.read(event.data, event.at_ns)
        elif isinstance(event, PlaintextGap):
            items = reader.gap(event.length, event.at_ns, event.reason)
        else:
            items = [*reader.end(event.at_ns, "end of the direction"), Ended(event.at_ns, direction)]
        if reader.late != late:
            self._join_late()
        elif reader.begun and not begun:
            self._order.begin(direction)
        if self._order.idle:
            self._take_all(items)
        else:
            for item in items:
                self._take_all(self._in_order(self._order.push(item)))
        out, self._out = self._out, []
        return out

    def finish(self, at_ns: int) -> list[Output]:
        """The run is over, or the connection is closed."""
        self._take_all(self._in_order(self._order.flush()))
        for direction, reader in self._readers.items():
            self._take_all(reader.end(at_ns, "end of the run"))
            self._give_up_block(direction, "RFC 9113 §6.10: the connection ended inside the header block")
        self._exchanges.finish(at_ns)
        self._out += self._ended
        self._ended.clear()
        out, self._out = self._out, []
        return out

    def _streams(self, direction: Direction) -> Callable[[int, int], bool]:
        return lambda kind, stream: self._exchanges.plausible(direction, kind, stream)

    def _join_late(self) -> None:
        self._ledger.known = False
        self._exchanges.late = True
        for reader in self._readers.values():
            reader.late = True
        for direction, reader in self._readers.items():
            if not reader.begun:
                self._decoders[direction].lose()
        self._take_all(self._order.give_up())

    def _in_order(self, items: list[Item]) -> list[Item]:
        if not self._order.ordered:
            self._ledger.known = False
        return items

    def _take_all(self, items: Iterable[Item]) -> None:
        ended = self._ended
        for item in items:
            if isinstance(item, RawFrame):
                if item.type == names.DATA:
                    self._data(item)
                else:
                    self._frame(item)
            elif isinstance(item, Missing):
                self._missing(item)
            else:
                self._exchanges.end(item.direction, item.at_ns)
            if ended:
                for exchange in ended:
                    self._ledger.forget(exchange.stream)
                self._out += ended
                ended.clear()

    def _missing(self, item: Missing) -> None:
        direction = item.direction
        if item.lost:
            self._give_up_block(direction, "RFC 9113 §6.10: the header block's end is missing")
            self._decoders[direction].lose()
            self._exchanges.gap(direction)
            self._ledger.known = False
        if item.length or item.lost:
            self._out.append(
                Gap(
                    time_ns=item.at_ns,
                    layer="http2",
                    length=item.length,
                    reason=item.reason,
                    conn=self._connection,
                    dir=direction.value,
                )
            )

    def _data(self, raw: RawFrame) -> None:
        direction, stream = raw.direction, raw.stream
        note = ""
        if direction in self._blocks:
            note = self._interrupt_block(direction)
        exchanges = self._exchanges
        window = self._ledger.data(direction, stream, raw.length, is_open=stream in exchanges.live)
        if raw.flags & names.PADDED or not stream:
            padding, length, wrong = data_padding(raw)
            note = note or wrong
        else:
            padding, length = None, raw.length
        end = bool(raw.flags & names.END_STREAM)
        said = exchanges.data(direction, stream, raw.at_ns, length, end=end)
        note = note or said
        self._out.append(
            Frame(
                n=0,
                time_ns=raw.at_ns,
                conn=self._connection,
                dir=direction.value,
                stream=stream,
                type="DATA",
                length=raw.length,
                flags=names.flag_names(0, raw.flags),
                padding=padding,
                window=window,
                confidence="gap" if raw.after_gap else "full",
                note=note or self._oversize(raw),
            )
        )

    def _frame(self, raw: RawFrame) -> None:
        direction, stream, kind = raw.direction, raw.stream, raw.type
        payload = read(raw)
        note = payload.note
        if kind == names.CONTINUATION:
            self._continuation(raw, payload)
            return
        if direction in self._blocks:
            note = note or self._interrupt_block(direction)
        if kind in (names.HEADERS, names.PUSH_PROMISE):
            self._block(HeaderBlock(raw, payload, note))
            return
        window = None
        if kind == names.WINDOW_UPDATE:
            if payload.increment and not note:
                is_open = stream in self._exchanges.live
                window = self._ledger.update(direction, stream, payload.increment, is_open=is_open)
                change = window and (window.stream or window.conn)
                if change and change[1] > names.MAX_WINDOW:
                    note = "RFC 9113 §6.9.1: window above 2^31-1"
        elif kind == names.SETTINGS:
            note = self._settings(direction, payload.settings or {}) or note
        elif kind == names.RST_STREAM and payload.error is not None:
            self._exchanges.reset(direction, stream, raw.at_ns, payload.error)
        elif kind == names.GOAWAY and payload.last_stream is not None:
            self._exchanges.goaway(direction, payload.last_stream, raw.at_ns, payload.error or "")
        self._put(raw, payload, note, window=window)

    def _settings(self, direction: Direction, settings: dict[int, int]) -> str:
        size = settings.get(names.HEADER_TABLE_SIZE)
        if size is not None:
            self._decoders[direction.other].allow(size)
        size = settings.get(names.MAX_FRAME_SIZE)
        if size is not None:
            reader = self._readers[direction.other]
            reader.max_frame = max(reader.max_frame, size)
        size = settings.get(names.INITIAL_WINDOW_SIZE)
        if size is not None:
            if size > names.MAX_WINDOW:
                return "RFC 9113 §6.5.2: INITIAL_WINDOW_SIZE above 2^31-1"
            self._ledger.initial(direction, size)
        return ""

    def _continuation(self, raw: RawFrame, payload: Payload) -> None:
        direction = raw.direction
        block = self._blocks.get(direction)
        if block is None or block.stream != raw.stream:
            note = "RFC 9113 §6.10: CONTINUATION without a header block before it"
            if block is not None:
                self._interrupt_block(direction)
            self._decoders[direction].lose()
            self._put(raw, payload, note)
            return
        if block.first is None:
            self._put(raw, payload)
            if raw.flags & names.END_HEADERS:
                del self._blocks[direction]
            return
        block.add(raw, payload)
        if block.complete:
            del self._blocks[direction]
            self._block(block)
        elif block.full:
            self._give_up_block(direction, "RFC 9113 §4.3: header block too long to decode")
            block.first = None
            self._blocks[direction] = block

    def _interrupt_block(self, direction: Direction) -> str:
        self._give_up_block(direction, "RFC 9113 §6.10: header block not finished")
        return "RFC 9113 §6.10: frame inside a header block"

    def _give_up_block(self, direction: Direction, note: str) -> None:
        block = self._blocks.pop(direction, None)
        if block is not None and block.first is not None:
            block.note = block.note or note
            self._decoders[direction].lose()
            self._block_ended(block, None)

    def _block(self, block: HeaderBlock) -> None:
        """A header block's first frame, or the whole block."""
        if not block.complete:
            self._blocks[block.direction] = block
            return
        decoder = self._decoders[block.direction]
        if block.fragment is None:
            decoder.lose()
        self._block_ended(block, None if block.fragment is None else decoder.decode(block.fragment))

    def _block_ended(self, block: HeaderBlock, headers: HeaderList | None) -> None:
        raw = block.first
        if raw is None:
            return  # given up before
        payload, note = block.payload, block.note
        if raw.type == names.HEADERS and raw.stream:
            end = bool(raw.flags & names.END_STREAM)
            said = self._exchanges.headers(
                raw.direction, raw.stream, raw.at_ns, headers, end=end, refused=block.fragment is None
            )
            note = note or said
        elif payload.promised_stream and raw.direction is not self._client:
            self._exchanges.promise(payload.promised_stream, raw.at_ns, headers)
        self._put(raw, payload, note, headers=headers, undecoded=headers is None)
        for continuation in block.continuations:
            self._put(continuation, Payload())

    def _put(
        self,
        raw: RawFrame,
        payload: Payload,
        note: str = "",
        *,
        headers: HeaderList | None = None,
        undecoded: bool = False,
        window: WindowChange | None = None,
    ) -> None:
        settings = payload.settings
        self._out.append(
            Frame(
                n=0,
                time_ns=raw.at_ns,
                conn=self._connection,
                dir=raw.direction.value,
                stream=raw.stream,
                type=names.type_name(raw.type),
                length=raw.length,
                flags=names.flag_names(raw.type, raw.flags),
                headers=headers,
                settings=None if settings is None else {names.setting_name(key): settings[key] for key in settings},
                increment=payload.increment,
                error=payload.error,
                last_stream=payload.last_stream,
                promised_stream=payload.promised_stream,
                data=payload.data,
                padding=payload.padding,
                priority=payload.priority,
                window=window,
                confidence="gap" if raw.after_gap else "hpack-unknown" if undecoded else "full",
                note=note or payload.note or self._oversize(raw),
            )
        )

    def _oversize(self, raw: RawFrame) -> str:
        if raw.length > self._readers[raw.direction].max_frame and self._ledger.known:
            return "RFC 9113 §4.2: longer than SETTINGS_MAX_FRAME_SIZE"
        return ""
