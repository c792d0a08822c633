"""The page's modules hold to their JSDoc types, checked by the compiler that editors use."""

import subprocess
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
COMPILER = PACKAGE / "node_modules/.bin/tsc"
PATIENCE_S = 120


def check(folder):
    command = [COMPILER, "-p", folder / "tsconfig.json", "--pretty", "false"]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def test_no_module_of_the_page_breaks_a_type():
    assert COMPILER.exists(), "Run `make setup`: it fetches the compiler that checks the page."
    result = check(PACKAGE)
    assert result.returncode == 0, result.stdout


BROKEN = {
    "export const first = dateTime('now');": "not assignable to parameter of type 'number'",
    "export const second = dateTime(MAX_CHANNELS, 1);": "Expected 1 arguments",
    "export const third = MAX_CHANELS;": "Did you mean 'MAX_CHANNELS'",
}


def test_what_breaks_one_is_found(tmp_path):
    web = PACKAGE / "src/focus_server/web"
    names = 'import { dateTime } from "./utc.js";\nimport { MAX_CHANNELS } from "./limits.js";\n'
    use = "export const used = [dateTime, MAX_CHANNELS];\n"
    (tmp_path / "src/focus_server/web").mkdir(parents=True)
    (tmp_path / "tests/web").mkdir(parents=True)
    (tmp_path / "src/focus_server/web/utc.js").write_text((web / "utc.js").read_text())
    lines = "\n".join(BROKEN)
    (tmp_path / "src/focus_server/web/broken.js").write_text(f"// @ts-check\n{names}{use}{lines}\n")
    (tmp_path / "tests/web/types").symlink_to(PACKAGE / "tests/web/types")
    (tmp_path / "tsconfig.json").write_text((PACKAGE / "tsconfig.json").read_text())
    result = check(tmp_path)
    assert result.returncode != 0
    complaints = [line for line in result.stdout.splitlines() if "broken.js" in line]
    assert len(complaints) == len(BROKEN), result.stdout
    for number, (said, wanted) in enumerate(zip(complaints, BROKEN.values(), strict=True), start=5):
        assert f"({number}," in said
        assert wanted in said
