"""A refusal is the one way in which the contract says no: a status, one sentence a person can act on, the detail."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class ShapeProblem(BaseModel):
    """One place in a body that has the wrong shape: where (`loc`), what (`msg`) and which kind (`type`)."""

    model_config = ConfigDict(frozen=True)

    loc: tuple[str | int, ...]
    msg: str
    type: str


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(frozen=True)

    error: str
    detail: str | tuple[ShapeProblem, ...]


class Refusal(Exception):  # noqa: N818 - refusing a request is an ordinary answer
    """A request that is not granted, with the HTTP status that says whether trying again can help.

    4xx: the request itself must change. 503: it may pass by waiting, and `retry_after` says how many seconds.
    """

    def __init__(
        self,
        status: int,
        error: str,
        detail: str | Sequence[ShapeProblem] = "",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.detail = detail if isinstance(detail, str) else tuple(detail)
        self.retry_after = retry_after

    @property
    def body(self) -> ErrorBody:
        """What the client reads."""
        return ErrorBody(error=self.error, detail=self.detail)

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` when waiting may help, otherwise nothing."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
