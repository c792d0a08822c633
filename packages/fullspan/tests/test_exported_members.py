"""What a package exports is what its `__all__` says: no name is missing, none is there by accident."""

import importlib
import pkgutil
from types import ModuleType

import pytest

import fullspan


def packages() -> list[str]:
    found = pkgutil.walk_packages(fullspan.__path__, "fullspan.")
    return ["fullspan", *(module.name for module in found if module.ispkg)]


@pytest.mark.parametrize("name", packages())
def test_all_is_the_public_namespace(name: str):
    package = importlib.import_module(name)
    exported = set(getattr(package, "__all__", ()))
    for member in exported:
        assert hasattr(package, member), f"{name}.__all__ names {member}, which is not there"
    assert public_names(package) - exported == set()


def public_names(package: ModuleType) -> set[str]:
    """Return what a package defines or passes on; its submodules are its own business."""
    return {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and str(getattr(value, "__module__", "")).startswith("fullspan")
    }


@pytest.mark.parametrize("name", packages())
def test_all_has_no_doubles(name: str):
    exported = list(getattr(importlib.import_module(name), "__all__", ()))
    assert len(exported) == len(set(exported))
