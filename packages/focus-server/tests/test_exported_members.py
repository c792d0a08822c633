"""What a package exports is what its namespace holds, no more and no less."""

import pkgutil
import types
from importlib import import_module

import pytest

import focus_server

PACKAGES = ["focus_server"] + [
    module.name for module in pkgutil.walk_packages(focus_server.__path__, "focus_server.") if module.ispkg
]


@pytest.mark.parametrize("name", PACKAGES)
def test_exported_members_are_the_namespace(name):
    module = import_module(name)
    public = {
        member
        for member, value in vars(module).items()
        if not member.startswith("_")
        and not isinstance(value, types.ModuleType)
        and getattr(value, "__module__", None) != "typing"
    }
    exported = list(getattr(module, "__all__", ()))
    assert set(exported) - {"__version__"} == public
    assert exported == sorted(exported, key=_as_ruff_sorts)


def _as_ruff_sorts(member):
    """Constants first, then classes, then the rest."""
    kind = 0 if member.isupper() else 1 if member[0].isupper() else 2
    return (kind, member)
