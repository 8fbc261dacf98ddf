"""One side of `benchmarks.against`: runs with the packages and the code of any commit.

Takes the path of a script and the settings of its `make`; reads seeds, a line each, and
prints what the round of each measured, a line of JSON each.
"""

import json
import os
import runpy
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Before anything counts the cores to make its threads.
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
# What libraries print must not come between.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
script, settings = sys.argv[1:]
measure = runpy.run_path(script)["make"](**json.loads(settings))
for line in sys.stdin:
    print(json.dumps(measure(int(line))), file=answers, flush=True)
