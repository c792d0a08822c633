"""How to trust a server: the system's authorities, one of one's own, or, said in so many words, nobody."""

import ssl
from pathlib import Path
from typing import Self

from pydantic import PrivateAttr, model_validator

from fullspan.errors import UsageError
from fullspan.written import Strict

__all__ = ["Tls"]


class Tls(Strict):
    """`ca` is the certificate (PEM) of an authority, or a self-signed server's own; paths are relative to the project.

    `certificate` and `key` are what we show, for servers that ask; without `key` it is in the certificate's file.
    `verify: false` trusts anybody.
    """

    ca: str | None = None
    verify: bool = True
    certificate: str | None = None
    key: str | None = None
    _project: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _a_key_has_a_certificate(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("a key alone shows nothing to a server; say `certificate` too.")
        return self

    @property
    def given(self) -> bool:
        """Whether anything is said at all."""
        return self.ca is not None or self.certificate is not None or not self.verify

    def in_project(self, project: Path) -> "Tls":
        """Return the same with paths that are relative to `project`."""
        found = self.model_copy()
        found._project = project
        return found

    def context(self) -> ssl.SSLContext:
        """Return what a client takes (`ssl=`, `verify=`); UsageError for a file that cannot be used."""
        context = ssl.create_default_context(cafile=self._path("ca", self.ca))
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.certificate:
            try:
                context.load_cert_chain(
                    str(self._path("certificate", self.certificate)), self._path("key", self.key), _nobody_to_ask
                )
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"tls.certificate {self.certificate} cannot be used: {_why(error)}.") from error
        return context

    def _path(self, what: str, named: str | None) -> Path | None:
        if named is None:
            return None
        path = self._project / Path(named).expanduser()
        try:
            text = path.read_bytes()
        except OSError as error:
            raise UsageError(f"tls.{what} {path} cannot be read: {error.strerror}.") from error
        if b"-----BEGIN" not in text:
            raise UsageError(f"tls.{what} {path} is no PEM file.", "Convert it, for example with `openssl x509`.")
        return path


def _nobody_to_ask() -> str:
    # Without this a key with a passphrase would ask for it on the terminal, and a run would wait there for ever.
    raise UsageError(
        "tls.key has a passphrase, and in a run nobody is asked for it.",
        "Give a key without one, which only you can read: `openssl pkey -in KEY -out PLAIN; chmod 600 PLAIN`.",
    )


def _why(error: OSError) -> str:
    return error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error.strerror or error)
