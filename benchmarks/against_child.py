"""Child of `benchmarks.against`, which runs with packages and code of any commit.

It takes the path of a script and the settings of its `make`, reads seeds, one per line,
and prints the measurement of each seed's round as a line of JSON.
"""

import json
import os
import runpy
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Before any library counts the cores to start its threads.
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
# Keeps the output of libraries out of the answers.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
script, settings = sys.argv[1:]
measure = runpy.run_path(script)["make"](**json.loads(settings))
for line in sys.stdin:
    print(json.dumps(measure(int(line))), file=answers, flush=True)
