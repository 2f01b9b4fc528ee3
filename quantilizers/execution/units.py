"""The API before `map`, until its callers have moved to `quantilizers.execution.executor`."""

from quantilizers.execution.executor import (
    SECONDS_BETWEEN_MESSAGES,
    TRIES,
    Executor,
    Send,
    SendNowAndThen,
    Shared,
    UnfinishedError,
    WorkUnit,
    given_up,
)

__all__ = [
    "SECONDS_BETWEEN_MESSAGES",
    "TRIES",
    "Executor",
    "Send",
    "SendNowAndThen",
    "Shared",
    "UnfinishedError",
    "WorkUnit",
    "given_up",
]
