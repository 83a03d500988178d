"""The commands: `python -m quartchat up|web|worker|migrate`.

What a command needs is imported inside it, so that each starts as fast as it can.
Exit codes: 0 ended as asked, 1 could not go on, 2 a setting or an option is wrong.
"""

from quartchat import process

if __name__ == "__main__":
    process.exit_on_signals()  # before the slow imports: from here on a signal's exit code is 0

import argparse
import asyncio
import dataclasses
import sys
from typing import cast

from quartchat import __version__
from quartchat.config import Config, ConfigError, from_environment
from quartchat.process import StartError

WORKER_DEADLINE_S = 5.0  # from the signal to the end; what is not archived stays in Redis
CONFIG_EXIT = 2
MAX_PORT = 65535

EPILOG = """\
Settings come from the environment: HOST, PORT, REDIS_URL, DATABASE_URL, SECRET_KEY,
QUARTCHAT_DATA_DIR, WEB_CONCURRENCY, LOG_LEVEL and more; README.md lists them all."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.lifeline:
        process.follow_lifeline()
    try:
        config = _configured(options)
        _configure_log(config, options.command)
        return cast("int", options.run(config, options))
    except ConfigError as error:
        return _fail(str(error), CONFIG_EXIT)
    except StartError as error:
        return _fail(str(error), error.code)


def _fail(message: str, code: int) -> int:
    process.complain(message)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m quartchat",
        description="A real-time chat server that never loses, doubles or reorders a message.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"quartchat {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, run, text in (
        ("up", _up, "all in one: an embedded Valkey, SQLite, migrations, web and worker"),
        ("web", _web, "the web process; needs REDIS_URL and SECRET_KEY"),
        ("worker", _worker, "the archiver, which moves messages to SQL; needs REDIS_URL"),
        ("migrate", _migrate, "bring the database to the current schema"),
    ):
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(run=run)
        # For children alone: end when stdin does, that is with the parent.
        command.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)
        if name in {"up", "web"}:
            command.add_argument("--host", help="where to listen, instead of HOST")
            command.add_argument("--port", type=_port, help="instead of PORT; 0 takes a free one")
            # For children alone: the listening socket that the parent opened.
            command.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to {MAX_PORT}, not {text!r}"
        )
    return int(text)


def _configured(options: argparse.Namespace) -> Config:
    config = from_environment()
    given = {name: getattr(options, name, None) for name in ("host", "port")}
    return dataclasses.replace(config, **{k: v for k, v in given.items() if v is not None})


def _configure_log(config: Config, command: str) -> None:
    from quartchat import log  # noqa: PLC0415

    log.configure(config.log_level, command)


def _up(config: Config, _options: argparse.Namespace) -> int:
    from quartchat import up  # noqa: PLC0415

    return up.run(config)


def _web(config: Config, options: argparse.Namespace) -> int:
    from quartchat import server  # noqa: PLC0415

    _require("web", REDIS_URL=config.redis_url, SECRET_KEY=config.secret_key)
    if options.fd is None:  # else the parent has said it
        _warn_of_own_disk(config)
    return server.run(config, options.fd)


def _worker(config: Config, _options: argparse.Namespace) -> int:
    from quartchat import archive, server  # noqa: PLC0415

    _require("worker", REDIS_URL=config.redis_url)
    _warn_of_own_disk(config)

    async def work() -> None:
        await archive.run(config, process.stop_event(WORKER_DEADLINE_S))

    with asyncio.Runner(loop_factory=server.loop_factory()) as runner:
        runner.run(work())
    return 0


def _migrate(config: Config, _options: argparse.Namespace) -> int:
    from quartchat import up  # noqa: PLC0415

    _warn_of_own_disk(config)
    asyncio.run(up.migrate(config))
    return 0


def _warn_of_own_disk(config: Config) -> None:
    """Say where the history is kept: a platform may throw each process's disk away."""
    import structlog  # noqa: PLC0415

    if not config.database_given:
        structlog.get_logger().warning("DATABASE_URL is not set", used=config.database_url)


def _require(command: str, **settings: str) -> None:
    for name, value in settings.items():
        if not value:
            raise ConfigError(f"{name} is not set, and `{command}` needs it; `up` brings its own")


if __name__ == "__main__":
    sys.exit(main())
