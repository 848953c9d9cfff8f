"""Every error a caller can meet.

HistoryError                    500  internal
|-- NotConfigured               503  not_configured       a setting is missing or wrong; names it
|-- Unavailable                 503  unavailable          the database cannot be reached; try again
|   `-- KeysUnavailable         503  unavailable          there are no keys to prove a token with; says why
|-- InvalidValue                400  invalid_value        names the value (also a ValueError)
|-- NotAuthenticated            401  not_authenticated
|-- Forbidden                   403  not_allowed          the API key's scopes do not cover the call
|-- NotFound                    404  not_found            no such thing, or someone else's (also a LookupError)
|-- MethodNotAllowed            405  method_not_allowed
|-- Conflict                    409  conflict             the row does not allow it
|   |-- LeaseLost               409  lease_lost           another worker took the job over
|   |-- Repeated                409  repeated             recorded before under the same Idempotency-Key; its text is
|   |                                                     the generation's id; GenerationManager answers with that
|   |-- Throttled               409  throttled            a limit on spending holds the POST back for now
|   `-- ArchiveFailed           409  archive_failed       why a generation's archive could not be made
|-- TooLarge                    413  too_large
|-- MachineFault                503  machine_fault        disk, memory or processes of the machine we run on failed us
|-- SceneFailure                500  its failure code     why a scene has no video; .final: trying again cannot help
|   `-- StoreRefused                                      the store provably did not take the object (4xx)
`-- ProviderError               502  provider_error       what a video provider answered
    |-- NotSent                                           the provider provably has no job of it (429, no connection)
    |-- Rejected                                          it refused this request for good
    |-- NotAllowed                                        it refused our key or our balance
    |-- OutcomeUnknown                                    it may or may not have taken the job
    |-- JobGone                                           it does not know the job (404, 410)
    `-- ProviderUnavailable                               try again later

LeaseLost, Throttled, MachineFault, SceneFailure and ProviderError are a worker's own, Repeated is the manager's: no
caller over HTTP is told them (told = False), one that gets there all the same is answered as internal. So the codes of
an answer are a closed set.
"""

from generation_history.models import FAILURE_CODES, ArchiveFailureCode, FailureCode


class HistoryError(Exception):
    """An error of this project; its text is safe to show: no secret, no signed URL."""

    status = 500
    code = "internal"
    told = True

    @classmethod
    def codes(cls) -> tuple[str, ...]:
        """Every code that an error of this class may have."""
        return (cls.code,)


class NotConfigured(HistoryError):
    """A setting is missing or wrong; the text starts with its name."""

    status = 503
    code = "not_configured"


class Unavailable(HistoryError):
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


class InvalidValue(HistoryError, ValueError):
    """A value that cannot be recorded; the text names it."""

    status = 400
    code = "invalid_value"


class NotAuthenticated(HistoryError):
    """No token, or one that does not hold."""

    status = 401
    code = "not_authenticated"


class Forbidden(HistoryError):
    """Known, but not allowed to do this."""

    status = 403
    code = "not_allowed"


class NotFound(HistoryError, LookupError):
    """No such row, or someone else's."""

    status = 404
    code = "not_found"


class MethodNotAllowed(HistoryError):
    """The path exists, but not for this method."""

    status = 405
    code = "method_not_allowed"


class Conflict(HistoryError):
    """What is recorded already does not allow it."""

    status = 409
    code = "conflict"


class LeaseLost(Conflict):
    """The job's lease ran out and another worker may have it; nothing was written."""

    code = "lease_lost"
    told = False


class Repeated(Conflict):
    """What was to be recorded once has been, as the generation whose id is the text; nothing was written now."""

    code = "repeated"
    told = False


class Throttled(Conflict):
    """A limit on submitting holds this POST back; the text starts with the limit's name."""

    code = "throttled"
    told = False


class ArchiveFailed(Conflict):
    """A generation's archive could not be made for this reason; asking for it again starts anew."""

    code = "archive_failed"

    def __init__(self, failure_code: ArchiveFailureCode, message: str) -> None:
        super().__init__(message)
        self.failure_code: ArchiveFailureCode = failure_code


class TooLarge(HistoryError):
    """The request is larger than the platform takes."""

    status = 413
    code = "too_large"


class MachineFault(HistoryError):
    """This machine could not do its part: it says nothing of the video, which is tried again, elsewhere and later."""

    status = 503
    code = "machine_fault"
    told = False


class SceneFailure(HistoryError):
    """A scene has no video for this reason; failure_code is of the closed set."""

    told = False

    def __init__(self, failure_code: FailureCode, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.failure_code: FailureCode = failure_code
        self.code = failure_code
        self.final = final

    @classmethod
    def codes(cls) -> tuple[str, ...]:
        """The closed set of failure codes."""
        return FAILURE_CODES


class StoreRefused(SceneFailure):
    """The object store said no (4xx): it holds nothing new. After any other failure it may."""

    def __init__(self, message: str) -> None:
        super().__init__("storage_failed", message)


class ProviderError(HistoryError):
    """A video provider's answer, or the lack of one; retry_after is in seconds where it named any.

    answer is what came of an answer to a POST, for whoever has to find out what became of it: bounded, storable and
    without our key. It is no part of the text.
    """

    status = 502
    code = "provider_error"
    told = False

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


class OutcomeUnknown(ProviderError):
    """The provider may or may not have taken the job: it must not be posted again."""


class JobGone(ProviderError):
    """The provider does not know the job, or not any more."""


class ProviderUnavailable(ProviderError):
    """The provider could not answer now: the same question may be asked again."""
