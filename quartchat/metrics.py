"""What `/metrics` shows, in Prometheus' terms; one place for every name."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

KINDS = 1024  # of requests: routes, methods and statuses are few

STREAMS = Gauge("quartchat_streams", "Open event streams", multiprocess_mode="livesum")
CONNECTS = Counter("quartchat_stream_connects", "Streams opened; ten times the usual is a storm")
DELIVERED = Counter("quartchat_delivered_bytes", "Bytes written to streams")
WRITES = Counter("quartchat_stream_writes", "Writes to streams; one carries one event or many")
SLOW = Counter("quartchat_slow_readers_dropped", "Streams closed because nobody read them")
RESUMED = Counter("quartchat_resume_pages", "Pages read to catch a reader up", ["source"])
RESETS = Counter("quartchat_resets", "Cursors that could not be served")
POSTED = Counter("quartchat_messages_posted", "Messages accepted")
REPEATED = Counter("quartchat_messages_repeated", "Sends answered from an earlier one")
FLUSH = Histogram(
    "quartchat_flush_seconds",
    "Time to hand one batch of events to all readers",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
REQUESTS = Histogram(
    "quartchat_request_seconds",
    "Time to answer a request, streams excepted",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BACKLOG = Gauge(
    "quartchat_archive_backlog",
    "Feed entries that wait for the worker; at 50,000 posting stops",
    multiprocess_mode="mostrecent",
)
ARCHIVED = Counter("quartchat_archived_events", "Events stored in SQL")
RESTORED = Counter(
    "quartchat_redis_restored_events", "Events that Redis had lost and SQL gave back"
)
LOST = Counter("quartchat_redis_lost_tails", "Feeds that came back with less than was read")
CLASHES = Counter(
    "quartchat_archive_clashes", "Events whose number SQL holds for another", ["what"]
)


@lru_cache(KINDS)
def request(method: str, route: str, status: int) -> Histogram:
    """Return what `REQUESTS` counts for one kind of request: looked up once."""
    return REQUESTS.labels(method, route, status)
