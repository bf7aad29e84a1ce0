"""The Runtime API of Lambda for one process of the function, with measurements of that process."""

import http.server
import json
import os
import queue
import socketserver
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass

ARN = "arn:aws:lambda:ap-southeast-1:123456789012:function:push"
TIMEOUT = 60  # seconds for the start and for each event
TICK = os.sysconf("SC_CLK_TCK")


class Calls(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm, wbufsize = "HTTP/1.1", True, 0

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", headers=()):
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.wfile.write(f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def do_GET(self):
        run = self.server.run
        run.requests.put(time.perf_counter())
        event = run.events.get()
        run.delivered_at = time.perf_counter()
        self.reply(200, event, [
            ("Content-Type", "application/json"), ("Lambda-Runtime-Aws-Request-Id", f"8476a536-{run.number:08}"),
            ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + TIMEOUT) * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", ARN)])

    def do_POST(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.run.answers.put((time.perf_counter(), self.path, body))
        self.reply(202)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


@dataclass
class Measured:
    """Milliseconds until the first request for an event, per event, and of CPU time per event; peak memory in MiB."""

    init: float
    events: list
    cpu: float
    peak: float


class Run:
    """One process of the function. Use as a context manager."""

    def __init__(self, command, environment):
        self.events, self.requests, self.answers, self.number, self.delivered_at = queue.Queue(), queue.Queue(), queue.Queue(), 0, 0.0
        self.server = Server(("127.0.0.1", 0), Calls)
        self.server.run = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        shown = None if os.environ.get("SHOW") else subprocess.DEVNULL
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=shown, stderr=shown, env={
            "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "push",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_LAMBDA_LOG_STREAM_NAME": "s", "AWS_REGION": "ap-southeast-1",
            "AWS_DEFAULT_REGION": "ap-southeast-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **environment})
        try:
            self.init = (self.requests.get(timeout=TIMEOUT) - began) * 1000
        except queue.Empty:
            self.__exit__()
            raise SystemExit(f"{command[0]} requested no event within {TIMEOUT} s. SHOW=1 shows its output.") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()

    def push(self, event):
        """Delivers an event. Returns the milliseconds until the response."""
        self.events.put(event)
        at, path, body = self.answers.get(timeout=TIMEOUT)
        self.requests.get(timeout=TIMEOUT)
        self.number += 1
        if not path.endswith("/response") or json.loads(body).get("statusCode") != 200:
            raise SystemExit(f"The function refused the push: {body[:500].decode(errors='replace')}")
        return (at - self.delivered_at) * 1000

    def cpu(self):
        """Returns the CPU time of the process in milliseconds, with a resolution of 10 ms."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) * 1000 / TICK

    def peak(self):
        status = open(f"/proc/{self.process.pid}/status").read()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def cold(command, environment, event, times):
    """Starts `times` processes. Returns the medians of init, of the first push, and of their sum, in milliseconds."""
    both = []
    for _ in range(times):
        with Run(command, environment) as run:
            both.append((run.init, run.push(event)))
    inits, firsts = zip(*both)
    return statistics.median(inits), statistics.median(firsts), statistics.median(map(sum, both))


def warm(command, environment, events, before):
    """Measures one process with all events after the first `before` ones."""
    with Run(command, environment) as run:
        for event in events[:before]:
            run.push(event)
        began = run.cpu()
        times = [run.push(event) for event in events[before:]]
        return Measured(run.init, times, (run.cpu() - began) / len(times), run.peak())
