"""Known secrets are taken out of everything that a stack says and a bundle holds."""

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

__all__ = ["Redaction"]

MARK: Final = "[redacted]"
SHORTEST: Final = 4  # what is shorter would be found inside ordinary words


class Redaction:
    """Replaces every known secret, also as it stands in a URL or in JSON; a callable for text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: list[str] = []
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Learn more secrets; what was written before is not written again."""
        forms = {
            form
            for secret in secrets
            if len(secret) >= SHORTEST
            for form in (
                secret,
                quote(secret, safe=""),
                quote(secret),
                json.dumps(secret)[1:-1],
                json.dumps(secret, ensure_ascii=False)[1:-1],
            )
        }
        self._forms = sorted(forms.union(self._forms), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return text without the secrets."""
        for form in self._forms:
            text = text.replace(form, MARK)
        return text

    def bytes(self, data: bytes) -> bytes:
        """Return data without the secrets' UTF-8 forms."""
        for form in self._forms:
            data = data.replace(form.encode(), MARK.encode())
        return data
