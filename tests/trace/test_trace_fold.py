"""The fold, compared whole with what the frames of a run of ours add up to."""

import hypothesis
import msgspec
from hypothesis import strategies as st

from goproxy_ebpf.records.flow import DirectionBytes, TlsBytes
from goproxy_ebpf.records.log import (
    Connection,
    Exchange,
    Frame,
    Gap,
    Process,
    Summary,
    Tcp,
    WindowChange,
)
from goproxy_ebpf.trace import GapTotal, ProcessRun, ProofSide, Trace, Window
from goproxy_ebpf.trace.connection import MAX_LATER, LaterSettings
from goproxy_ebpf.trace.losses import MAX_REASONS
from goproxy_ebpf.trace.windows import MAX_STREAMS
from tests.gin_like import HOST, MS, START, changed, fold, header, records, thrown_away


def frame(n: int, direction: str, stream: int, kind: str, length: int = 0, **more) -> Frame:
    return Frame(n, START + n, 1, direction, stream, kind, length, **more)


def test_frames_are_counted_by_direction_and_type():
    assert fold(records()).frame_counts == {
        ("send", "SETTINGS"): 2,
        ("send", "WINDOW_UPDATE"): 3451,
        ("recv", "SETTINGS"): 2,
        ("recv", "WINDOW_UPDATE"): 1,
        ("send", "HEADERS"): 175,
        ("recv", "HEADERS"): 175,
        ("recv", "DATA"): 3580,
    }


def test_settings_are_kept_for_both_sides():
    connection = fold(records()).connections[2]
    assert (connection.sent.first, connection.sent.acks, connection.sent.later) == (
        {"ENABLE_PUSH": 0, "INITIAL_WINDOW_SIZE": 4194304, "MAX_FRAME_SIZE": 16384, "MAX_HEADER_LIST_SIZE": 10485760},
        1,
        [],
    )
    assert (connection.received.first, connection.received.acks, connection.received.later) == (
        {"MAX_CONCURRENT_STREAMS": 100, "INITIAL_WINDOW_SIZE": 1048576, "MAX_HEADER_LIST_SIZE": 65536},
        1,
        [],
    )


def test_later_settings_are_told_apart_and_do_not_pile_up():
    trace = Trace()
    for n in range(1, 102):
        trace.feed(frame(n, "recv", 0, "SETTINGS", settings={"MAX_CONCURRENT_STREAMS": n}))
    received = trace.connections[1].received
    assert received.first == {"MAX_CONCURRENT_STREAMS": 1}
    assert received.later == [LaterSettings(n, {"MAX_CONCURRENT_STREAMS": n}) for n in range(2, 2 + MAX_LATER)]
    assert received.later_count == 100


def test_windows_say_where_they_began_how_low_they_went_and_what_was_added():
    grants = fold(records()).connections[2].go_grants
    body = sum(record.response_bytes for record in records() if isinstance(record, Exchange))
    frames = [record for record in records() if isinstance(record, Frame) and record.dir == "send"]
    added = sum(frame.increment or 0 for frame in frames if not frame.stream)
    assert grants.connection == Window(65535, 1073807359, 1069555143, 1755, added, 3580, body)
    assert grants.streams[225] == Window(4194304, 4194304, 0, 262, 8585216, 525, 8600123)
    assert fold(records()).connections[2].peer_grants.connection == Window(65535, 1048576, None, 1, 983041, 0, 0)


def test_window_updates_of_the_peer_and_data_of_go_move_the_peers_windows():
    trace = fold(
        [
            frame(1, "recv", 3, "WINDOW_UPDATE", 4, increment=5, window=WindowChange(stream=(10, 15))),
            frame(2, "send", 3, "DATA", 7, window=WindowChange(conn=(100, 93), stream=(15, 8))),
        ]
    )
    grants = trace.connections[1].peer_grants
    assert grants.connection == Window(100, 100, 93, 0, 0, 1, 7)
    assert grants.streams == {3: Window(10, 15, 8, 1, 5, 1, 7)}
    assert trace.connections[1].go_grants.streams == {}


def test_windows_without_a_ledger_still_count_updates():
    trace = fold(
        [frame(1, "send", 0, "WINDOW_UPDATE", 4, increment=5, confidence="gap"), frame(2, "recv", 1, "DATA", 9)]
    )
    assert trace.connections[1].go_grants.connection == Window(None, None, None, 1, 5, 1, 9)


def test_a_peer_that_names_streams_without_end_shares_one_window_in_memory():
    trace = Trace()
    for n in range(1, MAX_STREAMS + 101):
        trace.feed(frame(n, "recv", n, "WINDOW_UPDATE", 4, increment=1))
    grants = trace.connections[1].peer_grants
    assert (len(grants.streams), grants.others.updates, grants.stream_updates) == (MAX_STREAMS, 100, MAX_STREAMS + 100)


def test_the_latest_line_of_a_connection_is_the_one_that_counts():
    first = Connection(START, 1, "open", "a:1", "b:2")
    last = Connection(START + 5, 1, "closed", "a:1", "b:2", closed_by="fin")
    assert fold([first, last]).connections[1].record == last


def test_connections_that_lost_the_race_are_thrown_away_and_the_one_that_won_is_not():
    assert fold(records()).thrown_away() == {1, 3, 4}


def test_a_connection_with_unread_requests_was_not_thrown_away():
    busy = msgspec.structs.replace(thrown_away(1), tls_sent=TlsBytes(clear=1530, undecryptable=900, reason="no secret"))
    found = changed(records(), connection=lambda record: busy if record.conn == 1 else record)
    assert fold(found).thrown_away() == {3, 4}


def test_a_connection_that_ended_with_an_alert_was_not_thrown_away():
    tls = msgspec.structs.replace(thrown_away(1).tls, alert="bad_certificate (fatal) from go")
    found = changed(records(), connection=lambda r: msgspec.structs.replace(r, tls=tls) if r.conn == 1 else r)
    assert fold(found).thrown_away() == {3, 4}


def test_a_server_that_greets_a_client_which_has_gone_was_not_asked_anything():
    greeting = Frame(1, START, 1, "recv", 0, "SETTINGS", 6, settings={"MAX_CONCURRENT_STREAMS": 100})
    assert fold([*records()[:-1], greeting, records()[-1]]).thrown_away() == {1, 3, 4}
    answered = msgspec.structs.replace(greeting, dir="send")
    assert fold([*records()[:-1], greeting, answered, records()[-1]]).thrown_away() == {3, 4}


def test_nothing_is_thrown_away_where_no_other_connection_was_used():
    assert fold([thrown_away(1), thrown_away(2)]).thrown_away() == set()


def test_the_proof_adds_up_both_directions():
    proof = fold(records()).proof()
    sent = proof.sent
    assert (sent.hook_difference, sent.read_difference, sent.hooked_connections, sent.connections) == (0, 0, 4, 4)
    received = proof.received
    assert (received.read_difference, received.abandoned, received.undecryptable, received.reasons) == (0, 9501, 0, {})
    assert received.wire == received.clear + received.decrypted + 9501


def test_the_proof_names_each_kind_of_byte():
    side = ProofSide()
    wire = DirectionBytes(1000, 900, 50, 60, 900, 1000, 40, None)
    side.add(wire, TlsBytes(100, 500, 250, 60, 50, 480, 9, "no secret was seen"), handshake_finished=True)
    side.add(DirectionBytes(10, 10, offered=10, matches=False), None, handshake_finished=True)
    assert side == ProofSide(
        connections=2,
        hooked=1010,
        hooked_connections=2,
        wire=910,
        unsent=40,
        missing=60,
        retransmitted=50,
        clear=100,
        decrypted=500,
        undecryptable=250,
        partial=50,
        plain=10,
        plaintext=480,
        mismatched=1,
        reasons={"no secret was seen": 250},
    )
    assert (side.hook_difference, side.read_difference) == (-60, 0)


def test_processes_follow_exec_re_exec_and_exit():
    trace = fold(
        [
            Process(START, "exec", 7, 1, "/usr/bin/go", ("go", "build"), "go1.21.0", "key log"),
            Process(START + 1, "exec", 7, 1, "/toolchain/bin/go", ("go", "build"), "go1.26.8", "late"),
            Process(START + 2, "exec", 8, 7, "/usr/bin/git"),
            Process(START + 3, "exit", 8, 7, status=-9),
            Process(START + 4, "exit", 7, 1, status=1),
            Process(START + 5, "exit", 99, 1, status=0),
        ]
    )
    assert [(run.path, run.replaced, run.status, run.ended_ns) for run in trace.processes] == [
        ("/usr/bin/go", True, None, START + 1),
        ("/toolchain/bin/go", False, 1, START + 4),
        ("/usr/bin/git", False, -9, START + 3),
    ]
    assert trace.go_version == "go1.26.8"


def test_what_a_program_is_may_be_told_after_its_exec_or_before():
    after = [
        Process(START, "exec", 7, 1, "/usr/bin/go", ("go", "build")),
        Process(START + 1, "program", 7, 0, go_version="go1.26.8", coverage="key log"),
    ]
    assert fold(after).processes == [
        ProcessRun(7, 1, "/usr/bin/go", ("go", "build"), "go1.26.8", "key log", "", START),
    ]
    before = [msgspec.structs.replace(after[1], time_ns=START), msgspec.structs.replace(after[0], time_ns=START + 1)]
    assert fold(before).processes == fold(after).processes


def test_the_go_version_is_that_of_a_go_that_ran():
    true = Process(START, "exec", 7, 1, "/bin/true", ("true",))
    assert fold([header(), true]).go_version == ""
    assert fold([header()]).go_version == "go1.26.8"


def test_gaps_are_added_up_by_layer_and_reason_and_do_not_pile_up():
    trace = fold(
        [
            Gap(START, "tcp", 100, "not seen", 1, "recv", 0),
            Gap(START, "tcp", 50, "not seen", 2, "recv", 0),
            Gap(START, "file", 3, "damaged block", records=2),
        ]
    )
    assert trace.losses.totals == [
        GapTotal("tcp", "not seen", 2, 150, 0, [1, 2]),
        GapTotal("file", "damaged block", 1, 3, 2, []),
    ]
    for number in range(1000):
        trace.feed(Gap(START, "file", 1, f"reason {number}"))
    assert len(trace.losses.totals) == MAX_REASONS + 1
    assert sum(total.count for total in trace.losses.totals) == 1003


def test_retransmits_and_resets_belong_to_their_connection():
    trace = fold(
        [
            Tcp(START, 1, "retransmit"),
            Tcp(START, 1, "reset received"),
            Tcp(START, 1, "reset sent"),
            Tcp(START, 0, "retransmit"),
        ]
    )
    assert {n: (c.retransmits, c.resets_received) for n, c in trace.connections.items()} == {1: (1, 1)}


def test_times_are_from_the_header_to_the_summary():
    trace = fold(records())
    assert (trace.started_ns, trace.status) == (START, 0)
    assert trace.duration_ns == trace.summary.time_ns - START
    cut = fold(changed(records(), summary=lambda _: None))
    assert (cut.status, cut.duration_ns) == (None, trace.duration_ns - MS)
    assert (fold([]).started_ns, fold([]).duration_ns) == (0, 0)


def test_memory_does_not_grow_with_frames():
    trace = Trace()
    trace.feed(frame(1, "recv", 1, "DATA", 1))
    before = len(msgspec.json.encode(trace.connections))
    for n in range(2, 5000):
        trace.feed(frame(n, "recv", 1, "DATA", 1))
    assert len(msgspec.json.encode(trace.connections)) - before < 20


TEXT = st.sampled_from(
    ["", "x", "DATA", "SETTINGS", "send", "recv", "exec", "program", "exit", "go", "reset", "cut", HOST]
)
NUMBERS = st.integers(-(2**40), 2**63 - 1)


def a(kind, **fields):
    return st.builds(kind, **fields)


ANY_RECORD = st.one_of(
    a(
        Frame,
        n=NUMBERS,
        time_ns=NUMBERS,
        conn=st.integers(0, 3),
        dir=TEXT,
        stream=st.integers(0, 9),
        type=TEXT,
        length=NUMBERS,
        flags=st.sampled_from([(), ("ACK",)]),
        headers=st.none(),
        settings=st.none() | st.dictionaries(TEXT, NUMBERS),
        increment=st.none() | NUMBERS,
        priority=st.none(),
        window=st.none() | st.builds(WindowChange, conn=st.none() | st.tuples(NUMBERS, NUMBERS), stream=st.none()),
    ),
    a(
        Gap,
        time_ns=NUMBERS,
        layer=TEXT,
        length=NUMBERS,
        reason=TEXT,
        conn=st.integers(0, 3),
        dir=TEXT,
        offset=st.none(),
    ),
    a(Process, time_ns=NUMBERS, what=TEXT, pid=st.integers(0, 3), parent=NUMBERS, path=TEXT, argv=st.just(())),
    a(Summary, time_ns=NUMBERS, started_ns=NUMBERS, status=st.none() | NUMBERS, counters=st.just({})),
    a(Exchange, time_ns=NUMBERS, n=NUMBERS, conn=NUMBERS, stream=NUMBERS, protocol=TEXT, state=TEXT, status=NUMBERS),
    a(Tcp, time_ns=NUMBERS, conn=st.integers(0, 3), what=TEXT),
)


@hypothesis.given(st.lists(ANY_RECORD, max_size=30))
def test_any_records_in_any_order_fold(found):
    """Any records in any order give a trace whose frames are counted, and no error."""
    trace = fold(found)
    trace.proof()
    trace.thrown_away()
    assert trace.frames == sum(isinstance(record, Frame) for record in found)


def test_behind_a_granted_connect_the_host_is_whom_the_tunnel_leads_to_and_nothing_was_asked_of_it_yet():
    remote = "127.0.0.1:3128"
    for status, host, asked in ((200, "m.example:443", False), (407, remote, True)):
        connect = Exchange(START, 1, 1, 0, "http/1.1", "complete", "CONNECT", path="m.example:443", status=status)
        trace = fold([Connection(START, 1, "open", "127.0.0.1:40001", remote), connect])
        assert (trace.connections[1].host, trace.connections[1].spoke_http) == (host, asked)
        assert len(trace.exchanges) == 1


def test_a_program_that_ended_before_its_executable_was_read_is_one_program():
    ran = Process(START, "exec", 7, 1, "/tc/bin/go", ("go", "version"))
    ended = Process(START + 1, "exit", 7, 1, status=0)
    known = Process(START + 2, "program", 7, 0, go_version="go1.25.1", coverage="key log")
    assert fold([ran, ended, known]).processes == [
        ProcessRun(7, 1, "/tc/bin/go", ("go", "version"), "go1.25.1", "key log", "", START, START + 1, 0)
    ]
