"""What may be written where a name or the place of a secret is asked for, in stack files and environments."""

from typing import Annotated, TypeAlias

from pydantic import StringConstraints

__all__ = ["EndpointName", "SecretName", "SecretSource"]

EndpointName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,79}$")]
SecretName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")]
SecretSource: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(env:.+|file:.+|random)$")]
