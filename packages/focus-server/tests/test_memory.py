"""Large messages reuse memory: hardly a page is asked of the kernel for them."""

import subprocess
import sys

PROGRAM = """
import resource, sys
from focus_server.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def messages():
    for _ in range(100):
        kept = [bytes(400_000) + b"x" for _ in range(3)]  # two may be alive at once, as with gRPC's own copy
messages()
before = faults()
messages()
print(faults() - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_used_again():
    assert faults("keep") < 500 < faults("leave")
