"""Compiles the kernel with the C compiler of this machine; without one the analyzer uses SciPy, several times slower.

The package's build runs this file by itself, so it needs nothing but the standard library:
`python -m focus_server.analyzer.kernel.build` compiles it in place.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

LIBRARY: Final = "_spectra.so"
_FOLDER: Final = Path(__file__).resolve().parent
_FLAGS: Final = ("-std=gnu11", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
_LEVELS: Final = (
    ("avx512", 64, ("-march=skylake-avx512", "-mprefer-vector-width=512")),
    ("avx2", 32, ("-march=haswell",)),
    ("plain", 16, ()),
)
"""Name, bytes of a vector, flags."""
_PRECISIONS: Final = (("single", 4, ()), ("double", 8, ("-DDOUBLE",)))
"""Name, bytes of a number, flags."""
_COMPILE_S: Final = 120


def compiler() -> list[str] | None:
    """Find the C compiler: $CC, else cc, gcc or clang."""
    if os.environ.get("CC"):
        return os.environ["CC"].split()
    return next(([path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def compile_kernel(target: Path) -> str | None:
    """Compile the library to `target`; returns why that did not work, or None. An older library stays until then."""
    command = compiler()
    if command is None:
        return "no C compiler was found (cc, gcc or clang)"
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
        try:
            objects = [_compile(command, Path(folder), *variant) for variant in _variants()]
            objects.append(_run(command, Path(folder) / "dispatch.o", "-c", str(_FOLDER / "dispatch.c")))
            library = _run(command, Path(folder) / LIBRARY, "-shared", *map(str, objects), "-lm")
        except (OSError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", None) or str(error)
            return " ".join(str(detail).split())[:500]
        part = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(library, part)
        part.replace(target)
    return None


def _variants() -> list[tuple[str, int, tuple[str, ...]]]:
    """Give name, number of windows side by side and flags of every variant that this kind of machine can have."""
    levels = _LEVELS if platform.machine() in {"x86_64", "AMD64"} else _LEVELS[-1:]
    return [
        (f"{level}_{precision}", vector // number, (*level_flags, *precision_flags))
        for level, vector, level_flags in levels
        for precision, number, precision_flags in _PRECISIONS
    ]


def _compile(command: list[str], folder: Path, name: str, lanes: int, flags: tuple[str, ...]) -> Path:
    defines = (f"-DNAME=focus_spectra_{name}", f"-DLANES={lanes}")
    return _run(command, folder / f"{name}.o", *flags, *defines, "-c", str(_FOLDER / "spectra.c"))


def _run(command: list[str], output: Path, *arguments: str) -> Path:
    line = [*command, *_FLAGS, "-o", str(output), *arguments]
    subprocess.run(line, check=True, capture_output=True, text=True, timeout=_COMPILE_S)
    return output


if __name__ == "__main__":
    failure = compile_kernel(_FOLDER / LIBRARY)
    if failure is not None:
        sys.exit(f"The kernel was not compiled: {failure}")
