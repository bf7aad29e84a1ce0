"""docs/tutorial.md, as an operator follows it: its commands are pasted into two terminals, and print what the page shows."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from deployed import ROOT
from local_aws import free_port
from receivers import command, eventually

PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:8090"
BLOCK_ENDED = "block ended with"


def blocks(page):
    """The blocks of a page: `sh` or `text`, its text, and the paragraph above it."""
    return [(kind, text, above) for above, kind, text in re.findall(r"([^\n]*)\n+```(sh|text)\n(.*?)```", page, re.DOTALL)]


def masked(text):
    """The text without what differs each time: ids of batches, dates and times."""
    text = re.sub(r'"batch":"[^"]*"', '"batch":"ID"', text)
    return re.sub(r"\d\d:\d\d", "TIME", re.sub(r"\d{4}-\d\d-\d\d", "DATE", text))


class Terminal:
    """A shell, and the lines that it printed."""

    def __init__(self, folder):
        self.lines = []
        path = f"{Path(command()).parent}:{os.environ['PATH']}"
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=folder, env={**os.environ, "PATH": path}, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._shell.stdout:
            self.lines.append(line)

    def paste(self, text):
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def run(self, text):
        """Pastes commands that must succeed. Returns what they print."""
        begin = len(self.lines)
        self.paste(f"{text}echo {BLOCK_ENDED} $?\n")
        ended = eventually(lambda: [line for line in self.lines[begin:] if line.startswith(BLOCK_ENDED)], 60)
        output = "".join(self.lines[begin:-1])
        assert ended == [f"{BLOCK_ENDED} 0\n"], output
        return output

    def interrupt(self):
        os.killpg(self._shell.pid, signal.SIGINT)

    def close(self):
        self._shell.stdin.close()
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()


@pytest.fixture
def terminals(tmp_path):
    pair = [Terminal(tmp_path), Terminal(tmp_path)]
    yield pair
    for terminal in pair:
        terminal.close()


def test_commands_of_the_tutorial_print_what_it_shows(terminals):
    first, second = terminals
    (_, start, above), *steps = blocks(PAGE.replace(ADDRESS, f"127.0.0.1:{free_port()}"))
    assert "First terminal" in above
    first.paste(start)
    eventually(lambda: "Stop with Ctrl-C.\n" in first.lines)
    compared = 0
    for kind, text, above in steps:
        if kind == "sh":
            output = second.run(text)
            if ">rules.toml" in text:
                time.sleep(3)  # The server looks for a new file every two seconds.
            continue
        if "first terminal" in above:
            is_alert = lambda line: line.startswith(("ALERT", " "))
            output = "".join(eventually(lambda: len(alerts := list(filter(is_alert, first.lines))) >= len(text.splitlines()) and alerts))
        assert masked(output) == masked(text)
        compared += 1
    assert compared == PAGE.count("```text\n") > 0
    first.interrupt()
    eventually(lambda: any(line.startswith("Stopping") for line in first.lines))
