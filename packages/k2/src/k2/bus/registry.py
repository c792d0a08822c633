"""A schema registry that speaks Confluent's REST interface: schemas have numbers there."""

from typing import Any, Final

import httpx

from k2.errors import BusError, CodecError

__all__ = ["SchemaRegistry"]

_ANSWER_S: Final = 10.0
_MEDIA: Final = "application/vnd.schemaregistry.v1+json"


class SchemaRegistry:
    """The registry at a URL, which may hold user and password; what it said once is not asked again."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_ANSWER_S, headers={"Accept": _MEDIA}, trust_env=False)
        self._registered: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, str] = {}

    def register(self, subject: str, schema: str) -> int:
        """Return the number of a schema (JSON), which is entered when it is new; raises BusError."""
        key = subject, schema
        if key not in self._registered:
            answer = self._ask("POST", f"/subjects/{subject}/versions", {"schema": schema})
            if answer.status_code != httpx.codes.OK:
                raise BusError(f"The schema registry refused the schema of {subject}: {_said(answer)}.")
            self._registered[key] = int(answer.json()["id"])
        return self._registered[key]

    def schema(self, number: int) -> str:
        """Return the schema (JSON) of a number; raises CodecError when there is none, BusError when it is away."""
        if number not in self._schemas:
            answer = self._ask("GET", f"/schemas/ids/{number}", None)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise CodecError("unknown_schema", f"The schema registry has no schema {number}.")
            if answer.status_code != httpx.codes.OK:
                raise BusError(f"The schema registry did not tell schema {number}: {_said(answer)}.")
            self._schemas[number] = str(answer.json()["schema"])
        return self._schemas[number]

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise BusError(f"The schema registry does not answer: {type(error).__name__}; start it.") from None


def _said(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['message']}"
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)
