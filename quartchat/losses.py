"""What streams are told when Redis came back with less than they may have had.

A room's lost numbers are given to other events, so a stream that had them must not go on as
if nothing had happened: its reader would take the new events for old ones.
"""

from collections.abc import Iterable, Mapping

from quartchat.events import Control, RoomId
from quartchat.feed_reader import FeedReader
from quartchat.readers import Reader, reset_frame
from quartchat.recent import Recent
from quartchat.room_reader import RoomReader

REASON = "lost"


def tell(
    control: Control,
    recent: Recent,
    rooms: Mapping[RoomId, set[RoomReader]],
    readers: Iterable[Reader],
) -> None:
    """Send `reset` to every stream that may have seen more than there is now."""
    feeds = [reader for reader in readers if isinstance(reader, FeedReader)]
    room_id, n = control.room_id, control.n
    if room_id is None:
        for feed in feeds:
            feed.notify(reset_frame(None, None, REASON))
        return
    # What the feed brought counts, not what Redis was asked for: that may be of the new reign.
    changed = recent.rewind(room_id, n) > n or control.raised
    for reader in list(rooms.get(room_id, ())):
        if reader.stood(control.feed) > n:
            reader.close(reset_frame(room_id, n, REASON))  # and it comes back with no cursor ahead
        elif changed:
            reader.hand_back()  # what SQL gave back did not come by the feed
    for feed in feeds if changed else ():
        if room_id in feed.joined:
            feed.notify(reset_frame(room_id, n, REASON))
