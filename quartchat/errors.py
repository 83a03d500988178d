"""The error tree: what a use case may answer instead of its result.

Each class is one `code` of the HTTP contract. Nothing here knows HTTP beyond the status number;
`problems` writes it as a document, and one handler, in `routes.error_handlers`, answers with that.

    ChatError
    ├── NotJson                 400 invalid_json
    ├── Unauthenticated         401 unauthenticated
    │   └── InvalidCredentials  401 invalid_credentials
    ├── Forbidden               403 forbidden
    │   ├── NotAMember          403 not_a_member
    │   ├── Banned              403 banned
    │   ├── RoomArchived        403 room_archived
    │   └── CrossOrigin         403 cross_origin
    ├── NotFound                404 not_found
    ├── UnsupportedMediaType    415 unsupported_media_type
    ├── Conflict
    │   ├── UsernameTaken       409 username_taken
    │   ├── RoomNameTaken       409 room_name_taken
    │   ├── LastOwner           409 last_owner
    │   ├── AlreadyMember       409 already_member
    │   └── TooManyReactions    409 too_many_reactions
    ├── ValidationFailed        422 validation_failed
    │   └── IdempotencyMismatch 422 idempotency_mismatch
    ├── RateLimited             429 rate_limited
    └── Unavailable             503 unavailable
"""

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import ClassVar

Fault = tuple[str, str]  # a field of the request, and what is wrong with it

# What no use case raises: what the web framework refuses, by status, and our own faults.
OTHERS = {
    400: ("bad_request", "The request is malformed."),
    404: ("not_found", "There is no such path."),
    405: ("method_not_allowed", "The path has other methods; `Allow` names them."),
    408: ("request_timeout", "The body did not come in time."),
    413: ("payload_too_large", "The body is longer than 64 KiB."),
    500: ("internal_error", "Something went wrong on our side."),
}
OTHER = "error"  # the code of every other status


class ChatError(Exception):
    """A refusal with a stable `code`; `detail` is one sentence for a person."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str = "",
        *,
        field: str = "",
        faults: Sequence[Fault] = (),
        retry_after_s: int | None = None,
    ) -> None:
        self.detail = detail or (faults[0][1] if faults else self.title)
        self.faults = faults or [(field, self.detail)]
        self.retry_after_s = retry_after_s
        super().__init__(self.detail)


class NotJson(ChatError):
    """The body is not JSON in UTF-8."""

    status, code, title = 400, "invalid_json", "The body is not JSON."


class Unauthenticated(ChatError):
    """No session, or one that has ended."""

    status, code, title = 401, "unauthenticated", "Sign in first."


class InvalidCredentials(Unauthenticated):
    """Unknown user or wrong password; which of the two is not said."""

    status, code, title = 401, "invalid_credentials", "The username or the password is wrong."


class Forbidden(ChatError):
    """The caller may not do this."""

    status, code, title = 403, "forbidden", "You may not do this."


class NotAMember(Forbidden):
    """The room is public, and the caller has not joined it."""

    status, code, title = 403, "not_a_member", "Join the room first."


class Banned(Forbidden):
    """The room keeps this person out."""

    status, code, title = 403, "banned", "You are banned from this room."


class RoomArchived(Forbidden):
    """The room may be read, and nobody writes in it; what is deleted is deleted there, too."""

    status, code, title = 403, "room_archived", "The room is archived."


class CrossOrigin(Forbidden):
    """An unsafe request that another site's page made."""

    status, code, title = 403, "cross_origin", "The request comes from another site."


class NotFound(ChatError):
    """No such thing, or none that the caller may know of."""

    status, code, title = 404, "not_found", "There is nothing here."


class UnsupportedMediaType(ChatError):
    """A body that does not say it is JSON."""

    status, code, title = 415, "unsupported_media_type", "Send application/json."


class UsernameTaken(ChatError):
    """Another account has this name, whatever the case."""

    status, code, title = 409, "username_taken", "This username is taken."


class RoomNameTaken(ChatError):
    """Another public room has this name, whatever the case."""

    status, code, title = 409, "room_name_taken", "A public room with this name already exists."


class LastOwner(ChatError):
    """Nobody would be left who may do everything."""

    status, code, title = 409, "last_owner", "A room needs an owner; name another one first."


class AlreadyMember(ChatError):
    """Who is invited is in the room."""

    status, code, title = 409, "already_member", "This person is already in the room."


class TooManyReactions(ChatError):
    """The message has as many different emoji, or as many reactions, as it may have."""

    status, code, title = 409, "too_many_reactions", "This message has all the reactions it can."


class ValidationFailed(ChatError):
    """The request is well formed, and a value in it is not allowed."""

    status, code, title = 422, "validation_failed", "A value is not allowed."


class IdempotencyMismatch(ValidationFailed):
    """The `client_id` was used before for another body."""

    status, code, title = 422, "idempotency_mismatch", "This client_id belongs to another message."


class RateLimited(ChatError):
    """Too many tries, or too many open streams."""

    status, code, title = 429, "rate_limited", "Too many requests."


class Unavailable(ChatError):
    """Redis or SQL is away, or the archive is too far behind; try again soon."""

    status, code, title = 503, "unavailable", "The service is not available at the moment."


def codes() -> Iterator[tuple[int, str, str]]:
    """Yield every code with its status and its meaning, by status; `OTHER` has none."""
    meanings = {code: (status, meaning) for status, (code, meaning) in OTHERS.items()}
    kinds = [ChatError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if kind is not ChatError:
            meanings[kind.code] = kind.status, " ".join(cleandoc(kind.__doc__ or "").split())
    for code, (status, meaning) in sorted(meanings.items(), key=lambda each: each[1][0]):
        yield status, code, meaning
