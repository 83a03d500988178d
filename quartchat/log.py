"""Logs: one line per event on stderr, `key=value` in files and pipes, coloured on a terminal.

The standard library's loggers (Hypercorn's, Quart's) come out in the same form.
Nobody logs a message's text, a password, a token or a URL that may hold one.
"""

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

KEY_ORDER = ["timestamp", "level", "process", "pid", "event"]


def configure(level: str, process: str) -> None:
    """Set up structlog and `logging`; `process` names this process in every line."""

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"], event["pid"] = process, os.getpid()
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering()],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # What these say below a warning our own lines say better.
    logging.getLogger("peewee").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("hypercorn.error").setLevel(logging.WARNING)


def _rendering() -> list[Processor]:
    if sys.stderr.isatty():
        return [structlog.dev.ConsoleRenderer()]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.LogfmtRenderer(key_order=KEY_ORDER, drop_missing=True),
    ]
