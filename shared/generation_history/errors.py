"""Every error of this project.

HistoryError                      500  internal
|-- CallerError                                           what a caller of the API can meet
|   |-- NotConfigured             503  not_configured       a setting is missing or wrong; names it
|   |-- Unavailable               503  unavailable          the database cannot be reached; try again
|   |   `-- KeysUnavailable       503  unavailable          there are no keys to prove a token with; says why
|   |-- InvalidValue              400  invalid_value        names the value (also a ValueError)
|   |-- NotAuthenticated          401  not_authenticated
|   |-- Forbidden                 403  not_allowed          the API key's scopes do not cover the call
|   |-- NotFound                  404  not_found            no such thing, or someone else's (also a LookupError)
|   |-- MethodNotAllowed          405  method_not_allowed
|   |-- Conflict                  409  conflict             the row does not allow it
|   |   `-- ArchiveFailed         409  archive_failed       why a generation's archive could not be made
|   `-- TooLarge                  413  too_large
`-- InternalError                                         what a worker can meet, or the manager by itself
    |-- LeaseLost                                           another worker took the job over
    |-- Throttled                                           a limit on spending throttles the POST for now
    |-- DuplicateRequest                                    recorded before under the same Idempotency-Key; its text is
    |                                                       the generation's id; GenerationManager answers with that
    |-- MachineFault                                        disk, memory or processes of this machine failed us
    |-- StorageError                                        the object store could not do its part
    |   `-- StoreRefused                                    it provably did not take the object (4xx)
    |-- SceneFailure                   its failure code     why a scene has no video; .final: trying again cannot help
    `-- ProviderError                                       what a video provider answered
        |-- NotSent                                         the provider provably has no job of it (429, no connection)
        |-- Rejected                                        it refused this request for good
        |-- NotAllowed                                      it refused our key or our balance
        |-- OutcomeUnknown                                  it may or may not have taken the job
        |-- JobGone                                         it does not know the job (404, 410)
        `-- ProviderUnavailable                             try again later

The codes of an answer are those of CallerError's children, a closed set: an InternalError that gets to a caller all the
same is answered as internal.
"""

from generation_history.models import FAILURE_CODES, ArchiveFailureCode, FailureCode


class HistoryError(Exception):
    """An error of this project; its text is safe to show: no secret, no signed URL."""

    status = 500
    code = "internal"

    @classmethod
    def codes(cls) -> tuple[str, ...]:
        """Every code that an error of this class may have."""
        return (cls.code,)


class CallerError(HistoryError):
    """What a caller of the API can meet: it is told the text, the status and the code."""


class InternalError(HistoryError):
    """What no caller of the API is told."""


class NotConfigured(CallerError):
    """A setting is missing or wrong; the text starts with its name."""

    status = 503
    code = "not_configured"


class Unavailable(CallerError):
    """The database cannot be reached or gave up; the same call may work later."""

    status = 503
    code = "unavailable"

    @property
    def shown(self) -> str:
        """What a caller is told of it: not where it is, nor as whom we ask for it."""
        return "the record cannot be reached now; try again soon"


class KeysUnavailable(Unavailable):
    """HISTORY_JWKS_URL gave no keys to prove a token with; the text says why, and holds no URL."""

    @property
    def shown(self) -> str:
        """What a caller is told of it: all of it."""
        return str(self)


class InvalidValue(CallerError, ValueError):
    """A value that cannot be recorded; the text names it."""

    status = 400
    code = "invalid_value"


class NotAuthenticated(CallerError):
    """No token, or one that does not hold."""

    status = 401
    code = "not_authenticated"


class Forbidden(CallerError):
    """Known, but not allowed to do this."""

    status = 403
    code = "not_allowed"


class NotFound(CallerError, LookupError):
    """No such row, or someone else's."""

    status = 404
    code = "not_found"


class MethodNotAllowed(CallerError):
    """The path exists, but not for this method."""

    status = 405
    code = "method_not_allowed"


class Conflict(CallerError):
    """What is recorded already does not allow it."""

    status = 409
    code = "conflict"


class LeaseLost(InternalError):
    """The job's lease ran out and another worker may have it; nothing was written."""


class DuplicateRequest(InternalError):
    """What was to be recorded once has been, as the generation whose id is the text; nothing was written now."""


class Throttled(InternalError):
    """A limit on submitting holds this POST back; the text starts with the limit's name."""


class ArchiveFailed(Conflict):
    """A generation's archive could not be made for this reason; asking for it again starts anew."""

    code = "archive_failed"

    def __init__(self, failure_code: ArchiveFailureCode, message: str) -> None:
        super().__init__(message)
        self.failure_code: ArchiveFailureCode = failure_code


class TooLarge(CallerError):
    """The request is larger than the platform takes."""

    status = 413
    code = "too_large"


class MachineFault(InternalError):
    """This machine could not do its part: it says nothing of the video, which is tried again, elsewhere and later."""

    status = 503
    code = "machine_fault"


class StorageError(InternalError):
    """The object store cannot be used, or answered as none does; the text starts with the setting to look at.

    What was to be stored may be there all the same.
    """

    code = "storage_failed"


class StoreRefused(StorageError):
    """The object store said no (4xx): it holds nothing new."""


class SceneFailure(InternalError):
    """A scene has no video for this reason; failure_code is of the closed set."""

    def __init__(self, failure_code: FailureCode, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.failure_code: FailureCode = failure_code
        self.code = failure_code
        self.final = final

    @classmethod
    def codes(cls) -> tuple[str, ...]:
        """The closed set of failure codes."""
        return FAILURE_CODES


class ProviderError(InternalError):
    """A video provider's answer, or the lack of one; retry_after is in seconds where it named any.

    answer is what came of an answer to a POST, for whoever has to find out what became of it: bounded, storable and
    without our key. It is no part of the text.
    """

    status = 502
    code = "provider_error"

    def __init__(self, message: str, *, retry_after: float | None = None, answer: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.answer = answer


class NotSent(ProviderError):
    """The provider provably has no job of this request: it may be posted again."""


class Rejected(ProviderError):
    """The provider refused this request for good."""

    def __init__(
        self, message: str, *, failure_code: FailureCode = "submit_rejected", answer: str | None = None
    ) -> None:
        super().__init__(message, answer=answer)
        self.failure_code: FailureCode = failure_code


class NotAllowed(ProviderError):
    """The provider refused our key or our balance: a person must act, the work waits."""


class NoCredit(NotAllowed):
    """The provider started nothing, because nothing is left to pay it with: the work waits until there is."""


class OutcomeUnknown(ProviderError):
    """The provider may or may not have taken the job: it must not be posted again."""


class JobGone(ProviderError):
    """The provider does not know the job, or not any more."""


class ProviderUnavailable(ProviderError):
    """The provider could not answer now: the same question may be asked again."""
