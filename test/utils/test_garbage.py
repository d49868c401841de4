"""What is made to stay is left alone by the collector, once in a process."""

from __future__ import annotations

import sys

from test.conftest import ROOT, run_python

CODE = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from utils.garbage import made_to_stay
with made_to_stay():
    looking = gc.isenabled()
    kept = [[] for _ in range(1000)]
found = [looking, gc.isenabled(), gc.get_freeze_count() > 1000]
before = gc.get_freeze_count()
try:
    with made_to_stay():
        again = gc.isenabled()
        further = [[] for _ in range(1000)]
        raise ValueError
except ValueError:
    pass
print(found, again, gc.isenabled(), gc.get_freeze_count() <= before)
"""


def test_once(tmp_path):
    done = run_python(["-c", CODE, str(ROOT)], tmp_path, {}, sys.executable)
    assert done.stdout.split("\n")[0] == "[False, True, True] True True True", done.stderr


def test_a_collector_that_is_off_stays_off(tmp_path):
    code = CODE.replace("import gc, sys", "import gc, sys\ngc.disable()")
    done = run_python(["-c", code, str(ROOT)], tmp_path, {})
    assert done.stdout.split("\n")[0] == "[False, False, False] False False True", done.stderr
