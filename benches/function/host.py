"""Lambda's side of a function: the Runtime API for one process, which is timed from outside."""

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
LONGEST = 60  # seconds that a function may take for anything
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
        run.asked.put(time.perf_counter())
        event = run.events.get()
        run.handed_over = time.perf_counter()
        self.reply(200, event, [
            ("Content-Type", "application/json"), ("Lambda-Runtime-Aws-Request-Id", f"8476a536-{run.number:08}"),
            ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + LONGEST) * 1000))),
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
    """What a process took: milliseconds to its first request for work, for each event, of processor; MiB at most."""

    init: float
    events: list
    cpu: float
    peak: float


class Run:
    """One process of the function, from its start to its end."""

    def __init__(self, command, environment):
        self.events, self.asked, self.answers, self.number, self.handed_over = queue.Queue(), queue.Queue(), queue.Queue(), 0, 0.0
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
            self.init = (self.asked.get(timeout=LONGEST) - began) * 1000
        except queue.Empty:
            self.__exit__()
            raise SystemExit(f"{command[0]} did not ask for work within {LONGEST} s; SHOW=1 shows what it says.") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()

    def push(self, event):
        """Milliseconds from handing an event over to its answer."""
        self.events.put(event)
        at, path, body = self.answers.get(timeout=LONGEST)
        self.asked.get(timeout=LONGEST)
        self.number += 1
        if not path.endswith("/response") or json.loads(body).get("statusCode") != 200:
            raise SystemExit(f"The function did not take the push: {body[:500].decode(errors='replace')}")
        return (at - self.handed_over) * 1000

    def cpu(self):
        """Milliseconds of processor that the process has used so far; its clock has hundredths of a second."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) * 1000 / TICK

    def peak(self):
        status = open(f"/proc/{self.process.pid}/status").read()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def cold(command, environment, event, times):
    """Medians of init and of the first push over so many processes, and the median of their sums, in milliseconds."""
    both = []
    for _ in range(times):
        with Run(command, environment) as run:
            both.append((run.init, run.push(event)))
    inits, firsts = zip(*both)
    return statistics.median(inits), statistics.median(firsts), statistics.median(map(sum, both))


def warm(command, environment, events, before):
    """What events cost after `before` of them have gone by, by one process."""
    with Run(command, environment) as run:
        for event in events[:before]:
            run.push(event)
        began = run.cpu()
        times = [run.push(event) for event in events[before:]]
        return Measured(run.init, times, (run.cpu() - began) / len(times), run.peak())
