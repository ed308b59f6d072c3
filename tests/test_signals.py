"""A process that runs until it is told to stop does stop, wherever in its waiting the signal finds it.

`threading.Event.set` blocks for ever in a handler that comes while the main thread, in `wait`, has the event's lock. So
each line that the main thread comes by while it waits is tried, one after the other.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import SOURCE

STEPS = 40  # every line that a round comes by in which nothing is wrong, most of them several times
AT_EACH_STEP = f"""
import os, signal, sys, threading

def at_each_step(names, run):
    '''Run again and again; send SIGTERM at the next line each time, of the functions `names` or of threading.'''
    for step in range(1, {STEPS} + 1):
        seen = 0

        def trace(frame, event, argument):
            nonlocal seen
            if frame.f_code.co_name in names or seen and frame.f_code.co_filename == threading.__file__:
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGTERM)
                return trace

        print("step", step, flush=True)
        sys.settrace(trace)
        run()
        sys.settrace(None)
"""
SUPERVISOR = """
from argparse import Namespace
from ss_poc.serving import supervisor

supervisor.Supervisor.start = lambda self, version: []  # what workers do is tested elsewhere
options = Namespace(state="state", python=sys.executable, host="127.0.0.1", port=0, go_on=False, log="file",
                    version="v_1", previous="")
at_each_step(["watch", "rest"], lambda: supervisor.run(options))
"""
LINE = """
from pathlib import Path
from ss_poc.line.process import run_line
from ss_poc.line.settings import read_settings

Path("in").mkdir()
Path("line.yaml").write_text("line: press\\nstate: state\\nservice: {url: 'http://127.0.0.1:1'}\\n"
                             "sources: [{type: folder, name: camera, path: in}]\\n")
settings = read_settings(Path("line.yaml"))
at_each_step(["_look_after"], lambda: run_line(settings))
"""


@pytest.mark.parametrize("program", [SUPERVISOR, LINE], ids=["supervisor", "line"])
def test_it_stops_wherever_the_signal_comes(tmp_path, program):
    try:
        done = subprocess.run([sys.executable, "-c", AT_EACH_STEP + program], cwd=tmp_path, text=True, timeout=200,
                              env={"PYTHONPATH": str(SOURCE)}, capture_output=True)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"it did not stop: {(error.stdout or b'').decode()[-20:]}")
    assert done.returncode == 0 and f"step {STEPS}\n" in done.stdout, done.stderr
