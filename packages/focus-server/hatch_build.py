"""Compiles the analyzer's kernel when the package is built or installed; goes on without it where no compiler is."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = "src/focus_server/analyzer/kernel"


class KernelBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library beside its sources, and into a wheel for this kind of machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before files are collected."""
        folder = Path(self.root, KERNEL)
        spec = importlib.util.spec_from_file_location("kernel_build", folder / "build.py")
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{folder}/build.py cannot be loaded")
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        library = folder / build.LIBRARY
        failure = build.compile_kernel(library)
        if failure is not None:
            self.app.display_warning(f"The spectra kernel was not compiled, SciPy is used: {failure}")
            library.unlink(missing_ok=True)
        elif version != "editable":
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"][str(library)] = f"focus_server/analyzer/kernel/{build.LIBRARY}"
