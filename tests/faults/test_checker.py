"""The checker catches each kind of broken promise, in histories made by hand."""

import dataclasses

import pytest

from faults import checker, report
from faults.record import (
    Answer,
    Audit,
    Change,
    Event,
    Fault,
    Log,
    Record,
    Reset,
    Segment,
    Send,
)


def event(n: int, body: str | None = None) -> Event:
    """Ann's n-th message in room 1."""
    body = body or f"body {n}"
    return Event(1, n, "message", f"print of {body}", 0.0, f"id {n}", "ann", body)


def send(n: int) -> Send:
    """The send that made it, acknowledged 0.5 s after it began."""
    return Send(1, "ann", f"id {n}", f"body {n}", n, [Answer(n + 0.5, n, f"print of body {n}")])


def log(*numbers: int, start: int = 0, every_room: bool = False) -> Log:
    """A reader of room 1 that got these."""
    return Log("a reader", every_room, [Segment({1: start}, [event(n) for n in numbers])])


@pytest.fixture
def good() -> Record:
    """Three messages; bob read from the first, cyd from the third, dan all rooms."""
    return Record(
        seed=1,
        sends=[send(n) for n in (1, 2, 3)],
        logs=[log(1, 2, 3), log(3, start=2), log(1, 2, 3, every_room=True)],
        history={1: [event(n) for n in (1, 2, 3)]},
        pages={1: [event(n) for n in (1, 2, 3)]},
    )


def kinds(record: Record) -> set[str]:
    return {violation.kind for violation in checker.check(record)}


def test_a_run_without_a_fault_in_it_has_no_violation(good: Record) -> None:
    assert checker.check(good) == []


def test_an_acknowledged_message_that_is_not_stored_is_lost(good: Record) -> None:
    good.sends.append(send(4))
    assert kinds(good) == {"lost"}


def test_a_message_without_an_answer_may_be_stored_or_not(good: Record) -> None:
    good.sends.append(dataclasses.replace(send(4), answers=[]))
    good.sends[2].answers.clear()
    assert kinds(good) == set()


def test_a_number_that_was_given_to_another_message_is_a_loss(good: Record) -> None:
    good.sends.append(dataclasses.replace(send(4), answers=[Answer(4.5, 1, "print of body 1")]))
    assert "lost" in kinds(good)


def test_a_message_that_is_stored_otherwise_than_it_was_answered_is_changed(good: Record) -> None:
    good.sends[1].answers[0].print = "another"
    assert kinds(good) == {"changed"}


def test_a_message_that_is_stored_twice_is_doubled(good: Record) -> None:
    twice = dataclasses.replace(event(4), client_id="id 3")
    for events in (good.history[1], good.pages[1], *(log.segments[0].events for log in good.logs)):
        events.append(twice)
    assert kinds(good) == {"doubled"}


def test_a_repeated_send_that_gets_another_answer_is_doubled(good: Record) -> None:
    good.sends[0].answers.append(Answer(9, 3, "print of body 3"))
    assert kinds(good) == {"doubled"}


def test_a_repeated_send_that_gets_its_first_answer_is_right(good: Record) -> None:
    good.sends[0].answers.append(Answer(9, 1, "print of body 1"))
    assert kinds(good) == set()


def test_a_message_that_nobody_sent_is_invented(good: Record) -> None:
    del good.sends[1]
    assert kinds(good) == {"invented"}


def test_a_number_that_is_missing_is_a_hole(good: Record) -> None:
    del good.history[1][1]
    assert "hole" in kinds(good)


def test_a_later_send_with_a_lower_number_is_reordered(good: Record) -> None:
    good.sends[0].began, good.sends[0].answers[0].at = 8, 9
    assert kinds(good) == {"reordered"}


def test_sends_that_overlap_may_have_either_order(good: Record) -> None:
    good.sends[0].answers[0].at = 9
    assert kinds(good) == set()


def test_pages_that_differ_from_the_stream_are_told(good: Record) -> None:
    good.pages[1].pop()
    assert kinds(good) == {"pages"}


@pytest.mark.parametrize(
    ("got", "kind"),
    [
        ((1, 3), "gap"),
        ((2, 3), "gap"),
        ((1, 2, 2, 3), "twice"),
        ((1, 2, 3, 1), "out of order"),
        ((1, 3, 2), "gap"),
        ((1, 2), "behind"),
        ((), "behind"),
        ((1, 2, 3, 4), "content"),
    ],
)
@pytest.mark.parametrize("every_room", [False, True])
def test_a_reader_must_have_got_the_history(
    good: Record, got: tuple[int, ...], kind: str, every_room: bool
) -> None:
    good.logs.append(log(*got, every_room=every_room))
    assert kinds(good) == {f"reader: {kind}"}


def test_a_reader_that_got_other_content_is_told(good: Record) -> None:
    good.logs[0].segments[0].events[1] = event(2, "forged")
    assert kinds(good) == {"reader: content"}


def test_a_reader_that_got_what_was_before_its_start_is_told(good: Record) -> None:
    good.logs.append(log(2, 3, start=2))
    assert kinds(good) == {"reader: twice"}


def test_a_reader_that_never_got_a_stream_is_told(good: Record) -> None:
    good.logs.append(Log("a reader", every_room=True))
    assert kinds(good) == {"unread"}


def test_with_several_partitions_a_reader_of_all_rooms_may_get_events_again(good: Record) -> None:
    good.logs.append(log(1, 2, 1, 2, 3, every_room=True))
    assert kinds(good) == {"reader: out of order"}
    good.partitions = 2
    assert kinds(good) == set()
    good.logs.append(log(1, 2, 1, 2, 3))  # a reader of one room may not
    assert kinds(good) == {"reader: out of order"}


def test_a_reset_is_allowed_to_readers_of_all_rooms_of_an_emptied_valkey(good: Record) -> None:
    reader = log(1, every_room=True)
    reader.segments.append(Segment({}, [event(3)]))
    reader.resets = [Reset(20, "ahead")]
    good.logs.append(reader)
    assert kinds(good) == {"reset"}
    good.faults.append(Fault(19, checker.EMPTIED, "", 20))
    assert kinds(good) == set()
    reader.resets[0].reason = "malformed"
    assert kinds(good) == {"reset"}


def test_a_quiet_partition_may_be_found_emptied_later(good: Record) -> None:
    good.faults.append(Fault(19, checker.EMPTIED, "", 20))
    reader = log(1, every_room=True)
    reader.segments.append(Segment({}, [event(3)]))
    reader.resets = [Reset(50, "lost")]
    good.logs.append(reader)
    assert kinds(good) == {"reset"}
    good.partitions = 2
    assert kinds(good) == set()
    reader.resets *= 3  # its cursor, and each partition
    assert kinds(good) == set()
    reader.resets *= 2
    assert kinds(good) == {"reset"}
    good.faults.append(Fault(21, checker.EMPTIED, "", 22))
    assert kinds(good) == set()
    good.faults.pop()
    reader.resets = [Reset(61, "lost")]
    assert kinds(good) == {"reset"}
    reader.resets = [Reset(50, "malformed")]
    assert kinds(good) == {"reset"}
    reader.resets, reader.every_room = [Reset(50, "lost")], False
    assert kinds(good) == {"reset"}


def test_after_a_reset_a_reader_must_get_what_follows(good: Record) -> None:
    good.faults.append(Fault(19, checker.EMPTIED, "", 20))
    reader = log(every_room=True)
    reader.segments.append(Segment({}, [event(1), event(3)]))
    good.logs.append(reader)
    assert kinds(good) == {"reader: gap"}


def test_an_error_in_a_log_is_a_violation_unless_it_was_to_be_expected(good: Record) -> None:
    gone = 'level=error event=archive_group_lost error="NOGROUP No such key"'
    good.outputs = {"worker1": f"level=info event=ready\n{gone}\n"}
    assert kinds(good) == {"output"}
    good.faults.append(Fault(0, checker.EMPTIED, "", 1))
    assert kinds(good) == set()
    good.outputs["web1"] = "level=error event=failed path=/api"
    assert kinds(good) == {"output"}


def test_what_else_went_wrong_is_a_violation(good: Record) -> None:
    good.troubles.append("a POST got 500")
    assert kinds(good) == {"trouble"}


def change(good: Record, kind: str, body: str) -> None:
    """Ann changes her first message, and all hear of it."""
    made = Event(1, 4, kind, f"print of {kind}", 0.0, about=1, body=body)
    good.changes.append(Change(1, 1, kind, body))
    for events in (good.history[1], *(log.segments[0].events for log in good.logs)):
        events.append(made)


@pytest.mark.parametrize("kind", ["message.update", "message.delete", "reaction.add"])
def test_a_change_is_made_once(good: Record, kind: str) -> None:
    body = "" if kind == "message.delete" else "new"
    change(good, kind, body)
    assert kinds(good) == set()
    good.changes.append(Change(1, 2, kind, body))
    assert kinds(good) == {"unmade"}
    good.changes.pop()
    for events in (good.history[1], *(log.segments[0].events for log in good.logs)):
        events.append(dataclasses.replace(events[-1], n=5))
    assert kinds(good) == {"unmade"}


def test_of_a_deleted_message_there_is_a_number_and_no_text(good: Record) -> None:
    change(good, "message.delete", "")
    left = dataclasses.replace(good.history[1][0], print="rest", body="", gone=True)
    good.history[1][0] = good.pages[1][0] = left
    good.sends[0].answers.append(Answer(9, 1, "rest"))
    assert kinds(good) == set()
    good.history[1][0] = dataclasses.replace(left, gone=False)
    assert "lost" in kinds(good)
    assert "reader: content" in kinds(good)


def test_pages_that_do_not_show_an_edit_are_wrong(good: Record) -> None:
    change(good, "message.update", "new")
    edited = dataclasses.replace(event(1), print="print of new", body="new")
    good.folded = {1: [edited, *good.history[1][1:3]]}
    assert kinds(good) == {"pages"}
    good.pages[1][0] = edited
    assert kinds(good) == set()


# -- in the middle of a run


def kinds_so_far(record: Record) -> set[str]:
    return {violation.kind for violation in checker.so_far(record)}


@pytest.fixture
def half(good: Record) -> Record:
    """The same run before anybody looked at its end; bob has not had the third message yet."""
    good.history, good.pages = {}, {}
    good.logs.append(log(1, 2))
    good.logs.append(Log("a reader that is not there yet", every_room=False))
    return good


def test_a_run_that_is_not_over_has_no_violation_only_because_of_that(half: Record) -> None:
    assert checker.so_far(half) == []
    half.cut_short = True
    assert checker.check(half) == []


@pytest.mark.parametrize(
    ("got", "kind"),
    [((1, 3), "gap"), ((1, 2, 2), "twice"), ((1, 2, 3, 1), "out of order")],
)
def test_what_a_reader_got_wrong_is_told_before_the_end(
    half: Record, got: tuple[int, ...], kind: str
) -> None:
    half.logs.append(log(*got))
    assert kinds_so_far(half) == {f"reader: {kind}"}


def test_an_event_that_is_another_one_to_others_is_told_before_the_end(half: Record) -> None:
    half.logs.append(log(1, 2, 3))
    half.logs[-1].segments[0].events[1].print = "print of what nobody else got"
    assert kinds_so_far(half) == {"reader: content"}
    half.logs[-1].segments[0].events[1].gone = True
    assert kinds_so_far(half) == set()


def test_a_repeated_send_with_another_answer_is_told_before_the_end(half: Record) -> None:
    half.sends[0].answers.append(Answer(9, 4, "print of body 1"))
    assert kinds_so_far(half) == {"doubled"}


def test_a_number_that_two_sends_were_given_is_told_before_the_end(half: Record) -> None:
    half.sends.append(dataclasses.replace(send(4), answers=[Answer(4.5, 3, "print of body 4")]))
    assert "lost" in kinds_so_far(half)


def test_resets_and_troubles_are_told_before_the_end(half: Record) -> None:
    half.logs[0].resets.append(Reset(20, "lost"))
    half.troubles.append("a POST got 500")
    assert kinds_so_far(half) == {"reset", "trouble"}


def test_a_reset_while_valkey_is_being_emptied_is_allowed(half: Record) -> None:
    half.logs[2].resets.append(Reset(20, "ahead"))
    half.faults.append(Fault(19, checker.EMPTIED, ""))
    assert kinds_so_far(half) == set()


def test_what_was_acknowledged_before_an_audit_must_be_served_by_it(half: Record) -> None:
    half.audits = [Audit(1.9, {1: [event(1)]}), Audit(2.9, {1: [event(2)]})]  # 3 came later
    assert kinds_so_far(half) == set()
    half.audits.append(Audit(4, {1: []}))
    assert kinds_so_far(half) == {"lost"}
    half.audits[-1].found[1].append(event(3))
    assert kinds_so_far(half) == set()
    half.audits[-1].found[1][0].print = "another"
    assert kinds_so_far(half) == {"changed"}


def test_a_message_that_an_audit_missed_is_lost_though_it_is_there_in_the_end(
    good: Record,
) -> None:
    good.audits = [Audit(9, {1: [event(1), event(3)]})]
    assert kinds(good) == {"lost"}


def test_a_long_pause_is_told_with_what_was_at_work_and_not_while_the_writers_were_held(
    good: Record,
) -> None:
    good.seconds = 32.0
    for n in (4, 20, 31):
        good.sends.append(send(n))
    good.faults = [
        Fault(5.0, "web killed", "web1", 5.1),
        Fault(6.0, "sql gone", "", 19.0),
        Fault(21.0, checker.EMPTIED, "", 31.0),
    ]
    assert report.longest_pause(good) == 16.0
    assert report.told_pauses(good) == [
        "no send for 16.0 s from 4.5 s on: web killed web1, sql gone"
    ]
