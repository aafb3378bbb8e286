"""Stands in for the gateway: serves the probes, and does errands.

Files in the state volume, which tests write from outside, steer it. `unready`, `hung`: the probes fail.
`exit`: it ends at once, with the code that the file holds. `slow`: so many seconds pass between the
signal to end and the end. `<name>.sh` and `<name>.py` are run, and their output becomes `<name>.out`.
"""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time

STATE = "/var/lib/openclaw"


def path(name):
    return os.path.join(STATE, name)


class Probes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        bad = {"/readyz": "unready", "/livez": "hung"}[self.path]
        self.send_response(503 if os.path.exists(path(bad)) else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


def errands():
    interpreters = {".sh": ["/bin/sh"], ".py": ["/usr/bin/python3", "-I"]}
    while True:
        for name in sorted(os.listdir(STATE)):
            stem, kind = os.path.splitext(name)
            if kind in interpreters:
                run = subprocess.run(interpreters[kind] + [path(name)], capture_output=True)
                with open(path(stem + ".tmp"), "wb") as out:
                    out.write(run.stdout + run.stderr)
                os.remove(path(name))
                os.rename(path(stem + ".tmp"), path(stem + ".out"))
        time.sleep(0.02)


def end(*_):
    print("asked to end", flush=True)
    if os.path.exists(path("slow")):
        with open(path("slow")) as slow:
            time.sleep(float(slow.read()))
    os._exit(0)


print("started", flush=True)
if os.path.exists(path("exit")):
    with open(path("exit")) as code:
        sys.exit(int(code.read()))
signal.signal(signal.SIGTERM, end)
threading.Thread(target=errands, daemon=True).start()
http.server.ThreadingHTTPServer(("", 9090), Probes).serve_forever()
