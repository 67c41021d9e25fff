"""Each word of the verdict, and each rule, on a run that earns it; findings are compared whole."""

import msgspec
import pytest

from goproxy_ebpf.diagnose import RULES, Finding, Severity, Word, verdict
from goproxy_ebpf.diagnose.outcome import Ending, outcomes
from goproxy_ebpf.records.flow import Certificate, DirectionBytes, TlsBytes
from goproxy_ebpf.records.log import Connection, Dns, Exchange, Gap, Process, Summary
from tests.gin_like import HOST, MS, START, changed, fold, header, records, thrown_away

replace = msgspec.structs.replace


def status(number):
    return lambda summary: replace(summary, status=number)


def exchange(n: int, **more) -> Exchange:
    facts = {
        "method": "GET",
        "authority": HOST,
        "path": f"/m/@v/v1.{n}.0.zip",
        "status": 200,
        "frames": (10 * n, 10 * n + 9),
    }
    facts |= {"response_bytes": 1000}
    return Exchange(START + n, n, 1, 2 * n - 1, "h2", **{"state": "complete", **facts, **more})


def run(*found, end: int | None = 0):
    go = Process(START, "exec", 7, 1, "/usr/bin/go", ("go", "build"), "go1.26.8", "key log")
    conn = Connection(START, 1, "closed", "192.0.2.10:40001", "203.0.113.7:443", frames=9, established_ns=START)
    return fold([header(), go, conn, *found, Summary(START + 3000 * MS, START, end)])


def told(trace):
    judged = verdict(trace)
    return judged.word, judged.sentence, judged.findings


def test_a_good_run_is_healthy():
    assert told(fold(records())) == (
        Word.HEALTHY,
        "175 requests answered (3 not found), 56.4 MB in 4.52 s.",
        (),
    )


def test_a_run_whose_command_failed_has_failed_and_names_the_last_404():
    assert told(fold(changed(records(), summary=status(1)))) == (
        Word.FAILED,
        "the command ended with status 1; the last answer that was not found: "
        "GET /github.com/cloudwego/base64x/v9/@v/list 404.",
        (
            Finding(
                "child-failed",
                Severity.ERROR,
                "the command ended with status 1; the last answer that was not found: "
                "GET /github.com/cloudwego/base64x/v9/@v/list 404",
                (7380, 7383, 7386),
                "Read the command's own output.",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(-9, "the command was killed by SIGKILL."), (-999, "the command was killed by signal 999.")],
)
def test_a_signal_is_named(number, sentence):
    assert told(run(exchange(1), end=number))[:2] == (Word.FAILED, sentence)


def test_a_server_error_is_a_failure_even_where_go_went_on():
    trace = run(exchange(1, status=503), exchange(2, status=500), exchange(3, status=503), exchange(4))
    sentence = "3 requests of 4 failed (1 with 500, 2 with 503), first GET /m/@v/v1.1.0.zip"
    advice = (
        "Read the answer's body: curl -v with this path; join GOPROXY's entries with | to fall back after any error."
    )
    assert told(trace) == (
        Word.FAILED,
        f"{sentence}.",
        (Finding("exchange-failed", Severity.ERROR, sentence, (19, 29, 39), advice),),
    )


def test_not_found_and_gone_are_fallbacks():
    trace = run(exchange(1, status=404), exchange(2, status=410), exchange(3))
    assert told(trace) == (Word.HEALTHY, "3 requests answered (2 not found), 3.00 kB in 3.00 s.", ())


def test_an_error_that_was_asked_again_with_success_is_a_warning():
    path = {"path": "/m/@v/list"}
    trace = run(exchange(1, status=401, **path), exchange(2, **path))
    sentence = "1 request asked again with success, first GET /m/@v/list: 401"
    assert told(trace) == (
        Word.HEALTHY,
        "2 requests answered (1 recovered), 2.00 kB in 3.00 s.",
        (Finding("retried", Severity.WARNING, sentence, (19,)),),
    )


def test_an_error_after_a_success_is_not_recovered():
    path = {"path": "/m/@v/list"}
    assert told(run(exchange(1, **path), exchange(2, status=500, **path)))[0] is Word.FAILED


def test_a_reset_in_mid_body_is_a_failure_and_says_how_far_it_came():
    trace = run(
        exchange(1),
        exchange(2, state="reset", reset_by="recv", error="INTERNAL_ERROR", content_length=5678, response_bytes=1234),
        end=1,
    )
    sentence = (
        "1 answer broke off, first GET /m/@v/v1.2.0.zip: reset by the peer: INTERNAL_ERROR after 1,234 of 5,678 B"
    )
    assert told(trace) == (
        Word.FAILED,
        f"{sentence}; the command ended with status 1.",
        (
            Finding(
                "exchange-cut",
                Severity.ERROR,
                sentence,
                (29,),
                "Run again: cut at the same length is the proxy's fault, elsewhere that of something on the way.",
            ),
            Finding(
                "child-failed", Severity.ERROR, "the command ended with status 1", (), "Read the command's own output."
            ),
        ),
    )


def test_a_stream_that_go_itself_cancelled_is_no_failure():
    trace = run(exchange(1), exchange(2, state="reset", reset_by="send", error="CANCEL"))
    assert told(trace) == (Word.HEALTHY, "2 requests answered (1 cancelled), 2.00 kB in 3.00 s.", ())


def test_endings_of_requests_that_did_not_complete():
    refused = {"state": "refused", "status": None}
    cases = [
        (exchange(1, state="reset", reset_by="send", error="FLOW_CONTROL_ERROR"), 0, Ending.FAILED),
        (exchange(1, **refused), 0, Ending.FAILED),
        (exchange(1, state="cut"), 0, Ending.CUT),
        (exchange(1, state="cut"), None, Ending.CUT),
        (exchange(1, state="cut"), 1, Ending.FAILED),
        (exchange(1, status=None, confidence="hpack-unknown"), 0, Ending.UNREAD),
        (exchange(1, status=None), 0, Ending.FAILED),
        (exchange(1, status=302), 0, Ending.ANSWERED),
    ]
    assert [outcomes(run(one, end=end))[0].ending for one, end, _ in cases] == [ending for _, _, ending in cases]
    again = run(exchange(1, **refused), exchange(2, path="/m/@v/v1.1.0.zip"))
    assert [outcome.ending for outcome in outcomes(again)] == [Ending.RECOVERED, Ending.ANSWERED]


def test_a_request_cut_by_a_reset_is_a_failure_unless_go_did_well():
    reset = Connection(START, 1, "closed", "a:1", "b:443", closed_by="reset", frames=9)
    endings = [outcomes(run(exchange(1, state="cut"), reset, end=end))[0].ending for end in (0, 1, None)]
    assert endings == [Ending.CUT, Ending.FAILED, Ending.FAILED]


def test_requests_that_the_run_did_not_wait_for_are_told_and_decide_nothing():
    assert told(run(exchange(1), exchange(2, state="cut"))) == (
        Word.HEALTHY,
        "2 requests answered (1 cut), 2.00 kB in 3.00 s.",
        (
            Finding(
                "exchange-cut",
                Severity.INFO,
                "1 request had no full answer when the run ended, and go did not wait for it",
                (29,),
            ),
        ),
    )


def test_a_tls_alert_is_a_failure_and_names_the_issuer():
    tls = replace(
        thrown_away(1).tls,
        alert="unknown_ca (fatal) from go",
        certificates=(Certificate("CN=x", "CN=Corporate Inspection", 0, 1),),
    )
    conn = replace(thrown_away(2), tls=tls)
    trace = fold([header(), conn, Summary(START + MS, START, 1)])
    alert = f"TLS with {HOST}:443 ended with the alert unknown_ca (fatal) from go"
    sentence = f"{alert}, certificate issued by CN=Corporate Inspection"
    judged = verdict(trace)
    assert (judged.word, judged.findings[0].rule, judged.findings[0].sentence) == (Word.FAILED, "tls-alert", sentence)


def test_the_same_alert_of_the_same_host_is_told_once():
    """go tries again for each file."""
    tls = replace(thrown_away(1).tls, alert="bad_certificate (fatal) from go", certificates=())
    tries = [replace(thrown_away(number), tls=tls) for number in range(1, 7)]
    judged = verdict(fold([header(), *tries, Summary(START + MS, START, 1)]))
    sentence = f"TLS with {HOST}:443 ended with the alert bad_certificate (fatal) from go, 6 times"
    assert [each.sentence for each in judged.findings if each.rule == "tls-alert"] == [sentence]


@pytest.mark.parametrize("alert", ["close_notify (warning) from go", "unrecognized_name (warning) from the server"])
def test_closing_alerts_and_warnings_are_no_failure(alert):
    tls = replace(thrown_away(1).tls, alert=alert)
    assert told(run(exchange(1), replace(thrown_away(2), tls=tls)))[0] is Word.HEALTHY


def test_a_host_that_refuses_every_connection_is_a_failure():
    tries = [
        Connection(START, n, "closed", f"a:{n}", "203.0.113.9:443", closed_by="reset", dns_name="mirror.example.com")
        for n in (2, 3)
    ]
    trace = fold([header(), *tries, Summary(START + MS, START, 1)])
    assert verdict(trace).sentence == (
        "no connection to mirror.example.com:443: 2 tries, refused; the command ended with status 1."
    )


def test_a_host_of_which_one_address_answers_is_no_finding():
    found = [
        Connection(START, 2, "closed", "a:1", "[2001:db8::1]:443", closed_by="reset", dns_name=HOST),
        Connection(START, 3, "closed", "a:2", "203.0.113.7:443", closed_by="fin", dns_name=HOST, established_ns=START),
    ]
    assert told(run(*found, exchange(1))) == (Word.HEALTHY, "1 request answered, 1.00 kB in 3.00 s.", ())


def test_a_host_that_fails_beside_a_good_run_is_a_warning():
    trace = run(exchange(1), Connection(START, 2, "closed", "a:1", "198.51.100.1:443", closed_by="open"))
    judged = verdict(trace)
    assert judged.word is Word.HEALTHY
    assert [(finding.rule, finding.severity) for finding in judged.findings] == [
        ("connection-failed", Severity.WARNING)
    ]


def test_go_that_found_all_in_its_cache_asked_no_proxy_and_cold_is_named():
    trace = fold(
        [
            header(),
            Process(START, "exec", 7, 1, "/usr/bin/go", ("go", "build"), "go1.26.8", "key log"),
            Summary(START + MS, START, 0),
        ]
    )
    judged = verdict(trace)
    assert (judged.word, judged.sentence) == (
        Word.NO_PROXY_ASKED,
        "go opened no connection: everything it needed was in its cache.",
    )
    assert judged.findings[0].advice == "goproxy-ebpf trace --cold -- … starts with an empty, throw-away module cache."


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"GOPROXY": "off"}, "GOPROXY=off forbids it"),
        ({"GOPROXY": "off,https://m.example"}, "GOPROXY=off,https://m.example forbids it"),
        ({"GOPROXY": "file:///srv/modules"}, "GOPROXY=file:///srv/modules is a directory"),
        ({"GOPROXY": "off", "GOFLAGS": "-x -mod=vendor"}, "GOFLAGS=-mod=vendor has it use the vendor directory alone"),
    ],
)
@pytest.mark.parametrize("end", [0, 1])
def test_go_that_was_told_to_ask_nobody_is_not_said_to_have_had_all_in_its_cache(environment, why, end):
    go = Process(START, "exec", 7, 1, "/usr/bin/go", ("go", "build"), "go1.26.8", "key log")
    judged = verdict(fold([header(environment=environment), go, Summary(START + MS, START, end)]))
    (finding,) = [each for each in judged.findings if each.rule == "no-proxy-asked"]
    assert (finding.sentence, finding.advice) == (f"go opened no connection: {why}", "")


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (407, "The proxy that HTTPS_PROXY names wants other credentials in HTTPS_PROXY: curl -v -x it to try."),
        (403, "The proxy that HTTPS_PROXY names does not let go through to this host: curl -v -x it to try."),
    ],
)
def test_a_refused_tunnel_is_the_https_proxy_s_affair(status, advice):
    asked = exchange(1, method="CONNECT", path="m.example:443", status=status)
    judged = verdict(run(asked, end=1))
    assert [each.advice for each in judged.findings if each.rule == "exchange-failed"] == [advice]


def test_a_log_without_its_beginning_is_incomplete():
    judged = verdict(fold(records()[1:]))
    assert judged.word is Word.INCOMPLETE
    assert judged.sentence == "the log has no header: what ran, and what came before, is not known."


@pytest.mark.parametrize(
    ("looked_up", "sentence"),
    [
        ((), "go opened no connection before it failed"),
        (("NXDOMAIN",), f"go opened no connection: {HOST} has no address (NXDOMAIN)"),
        (("",), f"go opened no connection: {HOST} has no address (no answer)"),
    ],
)
def test_go_that_failed_without_a_connection_is_not_said_to_have_had_all_in_its_cache(looked_up, sentence):
    go = Process(START, "exec", 7, 1, "/usr/bin/go", ("go", "build"), "go1.26.8", "key log")
    asked = [Dns(START, HOST, "A", "192.0.2.1:53", rcode=rcode) for rcode in looked_up]
    judged = verdict(fold([header(), go, *asked, Summary(START + MS, START, 1)]))
    assert judged.word is Word.FAILED
    assert [finding.sentence for finding in judged.findings if finding.rule == "no-proxy-asked"] == [sentence]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            [header(go_version=""), Process(START, "exec", 7, 1, "/bin/true", ("true",))],
            "no go command ran, and nothing that ran has Go's TLS in it.",
        ),
        (
            [header(go_version=""), Process(START, "exec", 7, 1, "/opt/x", ("x",), "go1.26.8", "key log")],
            "no go command ran, and what ran opened no connection.",
        ),
        (
            [
                header(),
                Process(START, "exec", 7, 1, "/usr/bin/go", ("go",), "go1.26.8", "key log"),
                replace(thrown_away(1), tls_received=TlsBytes(clear=3300)),
            ],
            "go opened 1 connection and sent no request that can be read.",
        ),
        (
            [header(source="packets", go_version="", argv=())],
            "this capture holds no HTTP request that can be read (0 connections).",
        ),
    ],
)
def test_other_runs_that_asked_no_proxy_say_why(found, sentence):
    judged = verdict(fold([*found, Summary(START + MS, START, 0)]))
    assert (judged.word, judged.sentence) == (Word.NO_PROXY_ASKED, sentence)


def test_losses_make_a_run_incomplete_and_say_how_many_bytes_and_why():
    gap = Gap(START, "tcp", 4096, "not in any packet", 1, "recv", 0)
    trace = run(exchange(1), gap)
    trace.feed(replace(trace.summary, lost_records=3, lost_bytes=9000, missing_bytes=4096))
    assert told(trace)[:2] == (
        Word.INCOMPLETE,
        "4,096 B missing from streams and 3 records lost with 9,000 B (not in any packet).",
    )


@pytest.mark.parametrize("layer", ["capture", "tcp", "http2", "http/1.1", "file", "decoder"])
def test_a_gap_of_any_layer_makes_the_run_incomplete(layer):
    judged = verdict(run(exchange(1), Gap(START, layer, 0, "why")))
    assert (judged.word, [finding.rule for finding in judged.findings]) == (Word.INCOMPLETE, ["bytes-lost"])


def test_a_damaged_file_makes_a_run_incomplete():
    trace = run(exchange(1), Gap(START, "file", 120, "damaged block"))
    assert told(trace)[:2] == (Word.INCOMPLETE, "1 gap, 120 B (damaged block).")


def test_bytes_that_were_not_decrypted_make_a_run_incomplete():
    git = Connection(
        START,
        5,
        "closed",
        "a:1",
        "198.51.100.5:443",
        900,
        "git-remote-https",
        "tls",
        sent=DirectionBytes(500, 500),
        received=DirectionBytes(4812, 4812),
        tls_sent=TlsBytes(clear=300, undecryptable=200, reason="not a Go program"),
        tls_received=TlsBytes(clear=700, undecryptable=4112, reason="not a Go program"),
    )
    assert told(run(exchange(1), git)) == (
        Word.INCOMPLETE,
        "4,312 B could not be decrypted with 198.51.100.5:443 (git-remote-https): not a Go program.",
        (
            Finding(
                "not-decrypted",
                Severity.ERROR,
                "4,312 B could not be decrypted with 198.51.100.5:443 (git-remote-https): not a Go program",
                (),
                "What is shown is right, but these connections' requests are not in it.",
            ),
        ),
    )


def test_views_that_differ_make_a_run_incomplete():
    conn = Connection(
        START, 1, "closed", "a:1", "b:443", frames=9, sent=DirectionBytes(100, 90, accepted=100, offered=100)
    )
    assert told(run(exchange(1), conn))[:2] == (
        Word.INCOMPLETE,
        "10 B differ between the egress hook and the packets.",
    )


def test_a_capture_that_is_cut_in_a_handshake_does_not_say_that_it_failed():
    """Where the records end, the connection is closed by us: as one that was still open."""
    unanswered = Connection(START, 1, "closed", "192.0.2.1:1", "192.0.2.2:443", complete=True, closed_by="open")
    began = msgspec.structs.replace(header(), source="ebpf")
    whole = [began, unanswered, Summary(START + 9, START, 1)]
    cut = [began, unanswered, Summary(START + 9, START)]
    assert "connection-failed" in [finding.rule for finding in verdict(fold(whole)).findings]
    assert "connection-failed" not in [finding.rule for finding in verdict(fold(cut)).findings]
    assert verdict(fold(cut)).word is Word.INCOMPLETE


def test_views_that_differ_by_what_the_ring_lost_are_told_as_lost_alone():
    conn = Connection(
        START, 1, "closed", "a:1", "b:443", frames=9, sent=DirectionBytes(100, 90, accepted=100, offered=100)
    )
    loss = Gap(START, "capture", 10, "ring_full_packet", records=1)
    assert [finding.rule for finding in verdict(run(exchange(1), conn, loss)).findings] == ["bytes-lost"]
    assert [finding.rule for finding in verdict(run(exchange(1), conn)).findings] == ["views-differ"]


def test_a_connection_that_the_hook_never_saw_proves_nothing():
    conn = Connection(START, 1, "closed", "a:1", "b:443", frames=9, sent=DirectionBytes(100, 90))
    assert told(run(exchange(1), conn))[0] is Word.HEALTHY


def test_a_log_without_an_end_is_incomplete():
    found = changed(records(), summary=lambda _: None)
    assert told(fold(found))[:2] == (
        Word.INCOMPLETE,
        "the log ends before the run did: what came after is not known.",
    )


def test_failed_is_said_before_incomplete_and_both_are_told():
    trace = run(exchange(1, status=500), Gap(START, "file", 1, "damaged"))
    judged = verdict(trace)
    assert judged.word is Word.FAILED
    assert [finding.rule for finding in judged.findings] == ["exchange-failed", "bytes-lost"]


def test_no_records_at_all_are_no_error():
    assert verdict(fold([])).word is Word.NO_PROXY_ASKED


def test_every_rule_has_a_page_with_seen_means_and_do():
    for rule in RULES:
        lines = rule.page.splitlines()
        assert [line for line in lines if line in ("Seen", "Means", "Do")] == ["Seen", "Means", "Do"], rule.name
        assert lines[0].endswith("."), rule.name
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_a_capture_that_was_cut_between_two_blocks_is_told_by_the_end_that_nobody_saw():
    """The summary is made where the file is decoded; the child's status is the capture's to tell."""
    offered_last = replace(records()[0], source="ebpf")
    trace = fold([offered_last, *changed(records(), summary=status(None))[1:]])
    assert told(trace)[:2] == (Word.INCOMPLETE, "the log ends before the run did: what came after is not known.")
    foreign = fold([replace(offered_last, source="packets"), *changed(records(), summary=status(None))[1:]])
    assert told(foreign)[0] is Word.HEALTHY
