"""Judges a run by what it wrote down; pure, so that it is tested with histories made by hand.

The history is what both web processes serve at the very end, out of SQL alone.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from faults.record import Change, Event, Log, Record, RoomId, Send

SHOWN = 5  # violations of one kind that are told one by one
EMPTIED = "valkey emptied"
OF_A_FEED = {"ahead", "lost"}  # what a reader is told whose cursor is beyond the feed's end
LOOKED_S = 40.0  # by then every reader was back, and somebody looked: streams last 20 s
EMPTIED_S = 10.0  # how long after it the feed of an emptied Valkey may still be behind a cursor
_NO_CONNECTION = re.compile(
    r"Failed to restore the pool connection floor|Error rolling back connection"
)
EXPECTED = {
    # Of asyncpg's pool, which cannot be filled, and will be tried again; and of a transaction
    # that ended with its connection.
    "sql gone": _NO_CONNECTION,
    "sql gone for 30 s": _NO_CONNECTION,
    # A worker whose consumer group went with the rest says so, and makes it anew; a web
    # process finds the feed behind what it has read of it.
    EMPTIED: re.compile(r"archive_group_lost|feed_lost_tail"),
    # Python 3.11 asks a cancelled task for its exception, where 3.12 closes the connection.
    "web restarted": re.compile(r"Exception in callback.*StreamReaderProtocol.connection_made"),
}
BAD_LINE = re.compile(r"Traceback|archive_clash|events_lost|level=(error|critical)")


@dataclass(frozen=True)
class Violation:
    """A promise that was broken, and where."""

    kind: str
    text: str


def check(record: Record) -> list[Violation]:
    """Return everything that is wrong with a run; nothing, if all is well."""
    if record.cut_short:
        return so_far(record)
    found = [
        *holes(record.history),
        *lost(record.sends, record.history),
        *doubled(record.sends, record.history),
        *overtaken(record.sends),
        *unmade(record.changes, record.history),
        *pages(record.pages, record.folded or record.history),
        *audits(record),
        *resets(record),
        *outputs(record),
        *(Violation("trouble", text) for text in record.troubles),
    ]
    for log in record.logs:
        found += reader(log, record.history, once=record.partitions == 1)
    return list(dict.fromkeys(found))


def so_far(record: Record) -> list[Violation]:
    """Return what is wrong with a run that is not over, whatever may follow.

    There is no history yet, so that it finds less than `check`; what it finds is certain.
    """
    found = [
        *given_twice(record.sends),
        *doubled(record.sends, {}),
        *overtaken(record.sends),
        *audits(record),
        *resets(record),
        *(Violation("trouble", text) for text in record.troubles),
    ]
    for log in record.logs:
        found += reader(log, None, once=record.partitions == 1)
    return list(dict.fromkeys([*found, *disagreed(record.logs)]))


def holes(history: dict[RoomId, list[Event]]) -> Iterator[Violation]:
    """A room's events are numbered 1, 2, 3, … without a hole."""
    for room_id, events in history.items():
        for place, event in enumerate(events, start=1):
            if event.n != place:
                yield Violation("hole", f"room {room_id}: event {event.n} stands at place {place}")
                break


def lost(
    sends: Iterable[Send],
    history: dict[RoomId, list[Event]],
    changed: Container[tuple[RoomId, int]] = (),
) -> Iterator[Violation]:
    """An acknowledged message is in the history, as it was acknowledged, under its number.

    Those in `changed` may look otherwise.
    """
    stored = {(e.room_id, e.n): e for events in history.values() for e in events}
    for send in sends:
        for answer in send.answers[:1]:
            event = stored.get((send.room_id, answer.n))
            if event is None or event.client_id != send.client_id:
                yield Violation("lost", f"{_name(send)}, acknowledged at {answer.at} s")
            elif event.gone or (send.room_id, answer.n) in changed:
                continue
            elif event.body != send.body:
                yield Violation("lost", f"{_name(send)}, acknowledged at {answer.at} s")
            elif event.print != answer.print or event.author != send.author:
                yield Violation("changed", f"{_name(send)} is not stored as it was answered")


def given_twice(sends: Iterable[Send]) -> Iterator[Violation]:
    """Of two sends that were acknowledged under one number, one cannot be in the history."""
    first: dict[tuple[RoomId, int], Send] = {}
    for send in sends:
        for answer in send.answers[:1]:
            other = first.setdefault((send.room_id, answer.n), send)
            if other is not send:
                yield Violation("lost", f"{_name(other)} or {_name(send)}: both are {answer.n}")


def audits(record: Record) -> Iterator[Violation]:
    """What was acknowledged before an audit is among the messages that SQL served then."""
    found: defaultdict[RoomId, list[Event]] = defaultdict(list)
    last = 0.0
    for audit in record.audits:
        last = audit.at
        for room_id, events in audit.found.items():
            found[room_id] += events
    sends = (send for send in record.sends if send.answers and send.answers[0].at <= last)
    yield from lost(sends, found, {(change.room_id, change.about) for change in record.changes})


def doubled(sends: Iterable[Send], history: dict[RoomId, list[Event]]) -> Iterator[Violation]:
    """A send is stored once, and whoever repeats it gets the first answer's content."""
    keys = Counter(
        (e.room_id, e.author, e.client_id)
        for events in history.values()
        for e in events
        if e.client_id is not None
    )
    for (room_id, author, client_id), count in keys.items():
        if count > 1:
            yield Violation(
                "doubled", f"room {room_id}: {author}'s {client_id} is there {count} times"
            )
    gone = {(e.room_id, e.n) for events in history.values() for e in events if e.gone}
    for send in sends:
        # Who repeats a send whose message was deleted meanwhile may get what is left of it.
        told = {(a.n, (send.room_id, a.n) in gone or a.print) for a in send.answers}
        if len(told) > 1:
            numbers = [answer.n for answer in send.answers]
            yield Violation("doubled", f"{_name(send)} was answered with {numbers}")
    known = {(send.room_id, send.author, send.client_id) for send in sends}
    for key in keys.keys() - known:
        yield Violation("invented", f"{key} was never sent")


def unmade(changes: Iterable[Change], history: dict[RoomId, list[Event]]) -> Iterator[Violation]:
    """An acknowledged change is in the history, once, unless the text is gone with its message."""
    deleted = {
        (e.room_id, e.about)
        for events in history.values()
        for e in events
        if e.type == "message.delete"
    }
    made = Counter(
        (e.room_id, e.about, e.type, e.body) for events in history.values() for e in events
    )
    for change in changes:
        where = (change.room_id, change.about)
        body = "" if change.kind == "message.delete" else change.body
        count = made[(*where, change.kind, body)]
        if count != 1 and not (change.kind == "message.update" and where in deleted):
            yield Violation("unmade", f"{change} is there {count} times")


def overtaken(sends: Iterable[Send]) -> Iterator[Violation]:
    """What began after another send was acknowledged has the higher number."""
    rooms: defaultdict[RoomId, list[Send]] = defaultdict(list)
    for send in sends:
        if send.answers:
            rooms[send.room_id].append(send)
    for room in rooms.values():
        acknowledged = sorted(room, key=lambda send: send.answers[0].at)
        highest, at = 0, 0
        for send in sorted(room, key=lambda send: send.began):
            while acknowledged[at].answers[0].at < send.began:
                highest = max(highest, acknowledged[at].answers[0].n)
                at += 1
            if send.answers[0].n < highest:
                yield Violation("reordered", f"{_name(send)} is before {highest}, but began later")


def pages(
    found: dict[RoomId, list[Event]], history: dict[RoomId, list[Event]]
) -> Iterator[Violation]:
    """The pages of messages are the messages of the streams."""
    for room_id, events in history.items():
        messages = [(e.n, e.print) for e in events if e.type == "message"]
        if messages != [(e.n, e.print) for e in found.get(room_id, [])]:
            yield Violation("pages", f"room {room_id}: the pages differ from the stream")


def reader(
    log: Log, history: dict[RoomId, list[Event]] | None, *, once: bool
) -> Iterator[Violation]:
    """A reader got the history from its start on: each event once, in order, to the end.

    Without a history, in the middle of a run, only the numbers tell.
    With several partitions (`once` is false) a reader of all rooms drops what it has had
    before, as docs/decisions/0002 says. After a reset it may begin anywhere, but not stop.
    """
    if not log.segments and history is not None:
        yield Violation("unread", f"{log.name} never got a stream")
    for index, segment in enumerate(log.segments):
        rooms: defaultdict[RoomId, list[Event]] = defaultdict(list)
        for event in segment.events:
            rooms[event.room_id].append(event)
        for room_id in segment.start.keys() | rooms.keys():
            events = rooms[room_id]
            first = segment.start.get(room_id, events[0].n - 1 if events else 0)
            whole = index == len(log.segments) - 1
            again = log.every_room and not once
            yield from _follows(
                f"{log.name}, room {room_id}", events, first,
                None if history is None else history.get(room_id, []), whole=whole, again=again,
            )  # fmt: skip


def _follows(
    name: str,
    got: list[Event],
    first: int,
    history: list[Event] | None,
    *,
    whole: bool,
    again: bool,
) -> Iterator[Violation]:
    last = first
    for event in got:
        where = f"{name}: {event.n} after {last} at {event.at} s"
        if first < event.n <= last and again:
            continue
        if event.n <= last:
            yield Violation("reader: twice" if event.n == last else "reader: out of order", where)
            return
        if event.n > last + 1:
            yield Violation("reader: gap", where)
            return
        if history is None:
            last = event.n
            continue
        held = history[event.n - 1] if event.n <= len(history) else None
        same = held is not None and (held.print == event.print or held.gone)
        if held is None or held.type != event.type or not same:
            yield Violation("reader: content", f"{where} is not what the history has")
            return
        last = event.n
    if history is not None and whole and last < len(history):
        yield Violation("reader: behind", f"{name}: ended at {last} of {len(history)}")


def disagreed(logs: Iterable[Log]) -> Iterator[Violation]:
    """A number is the same event to all readers, but that a message may be deleted meanwhile."""
    first: dict[tuple[RoomId, int], tuple[str, Event]] = {}
    for log in logs:
        for event in (event for segment in log.segments for event in segment.events):
            if event.gone:
                continue
            name, other = first.setdefault((event.room_id, event.n), (log.name, event))
            if (event.type, event.print) != (other.type, other.print):
                where = f"{event.n} of room {event.room_id}"
                yield Violation("reader: content", f"{log.name} and {name} got another {where}")


def resets(record: Record) -> Iterator[Violation]:
    """Only an emptied Valkey, whose feed begins anew, may be behind a cursor of all rooms.

    Of several partitions, one that is quiet is found to be emptied when somebody looks. A reader
    is told for its cursor, and for each of these, but not again and again.
    """
    several = record.partitions > 1
    reasons, within_s = (OF_A_FEED, LOOKED_S) if several else ({"ahead"}, EMPTIED_S)
    emptied = [fault for fault in record.faults if fault.kind == EMPTIED]
    for log in record.logs:
        for count, reset in enumerate(log.resets, start=1):
            near = [f for f in emptied if f.at <= reset.at <= f.until + within_s]
            told = count - sum(each.at < near[0].at for each in log.resets) if near else 0
            again = several and told > len(near) * (record.partitions + 1)
            if not (log.every_room and near and reset.reason in reasons) or again:
                yield Violation("reset", f"{log.name}: {reset.reason} at {reset.at} s")


def outputs(record: Record) -> Iterator[Violation]:
    """The processes report no error that was not to be expected."""
    kinds = {fault.kind for fault in record.faults}
    expected = [pattern for kind, pattern in EXPECTED.items() if kind in kinds]
    for name, text in record.outputs.items():
        for line in text.splitlines():
            if BAD_LINE.search(line) and not any(p.search(line) for p in expected):
                yield Violation("output", f"{name}: {line[:2000]}")


def _name(send: Send) -> str:
    return f"room {send.room_id}: {send.author}'s {send.client_id} ({send.body[:40]})"
