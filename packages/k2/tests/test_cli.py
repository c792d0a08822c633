import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import k2


def test_version_is_the_installed_one():
    printed = subprocess.run([sys.executable, "-m", "k2", "--version"], capture_output=True, text=True, check=True)
    assert printed.stdout.split() == ["k2,", "version", version("k2")]
    assert version("k2") == k2.__version__


def test_exported_members_are_the_namespace():
    public = {name for name, it in vars(k2).items() if not (name.startswith("_") or isinstance(it, ModuleType))}
    assert public | {"__version__"} == set(k2.__all__)
