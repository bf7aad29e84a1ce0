"""An alert from its push to its end on the phones of people, in headless Chromium."""

import json
import re
import time

import pytest
from browser import check, chromium, needs_chromium, phone
from local_aws import make_certificate
from receivers import OwnServer
from test_answers import invite
from test_sla import Site

pytestmark = needs_chromium
RULES = '[[zone]]\nid = "gents"\nname = "Level 2 Male Washroom"\nfloor = "2"\n[[rule]]\nid = "soap-low"\naction = "Refill the soap"\n'


class OwnHost:
    """`serve` on this machine."""

    WITHIN = 5

    def __init__(self, server):
        self.server, self.url = server, server.url

    def push(self, percent, zone="gents"):
        at = time.time_ns() // 1_000_000
        reading = {"DevType": "SMARTCLEAN#SS", "DEVID": f"soap-{zone}", "InsID": zone, "PID": "p1", "unixT": at, "v": {"p": percent},
                   "Region": "Asia/Singapore", "Display": "Soap by the door"}  # fmt: skip
        return self.server.push(reading)["alerts"]

    def invitation(self):
        done = self.server.run("invite", "--team", "Day team", "--role", "respond", "--url", self.url, "--state", str(self.server.data / "state.db"))
        assert done.returncode == 0, done.stderr
        return re.search(r"http\S+/board/i/\S+", done.stdout)[0]

    def links(self):
        return [record["message"]["json"]["link"] for record in self.server.records() if "link" in record["message"]["json"]]


@pytest.fixture
def own_host(tmp_path):
    server = OwnServer(tmp_path, make_certificate(tmp_path), more=RULES).start()
    yield OwnHost(server)
    server.stop()


class Stack:
    """The deployed stack."""

    WITHIN = 65

    def __init__(self, stack, receive):
        self.site, self.receive, self.name = Site(stack), receive, stack.host.split(":")[0]
        self.url = f"https://{self.name}"
        self.stack, self.sent = stack, []

    def push(self, percent, zone="gents"):
        return self.site.push(self.site.reading(zone, "SS", p=percent))

    def invitation(self):
        out = invite(self.stack, "--team", "Day team", "--role", "respond", "--url", self.url)
        return re.search(r"http\S+/board/i/\S+", out)[0]

    def links(self):
        self.sent += [json.loads(envelope["Message"]) for envelope in self.receive()]
        return [message["link"] for message in self.sent if "link" in message]


def reload_until(page, text, seconds):
    """Reloads a page until it has this text. Returns the seconds that it took."""
    began = time.monotonic()
    while text not in page.inner_text("main"):
        assert time.monotonic() < began + seconds, f"not within {seconds} s: {text}\n{page.inner_text('main')}"
        time.sleep(0.2)
        page.reload()
    return time.monotonic() - began


def follow(host, browser, board, soap, pictures):
    """The life of an alert on the board, and on the phones of two people who open the link of its message."""
    board.goto(host.invitation())
    assert "It now answers for Day team" in board.inner_text("main")
    pictures and check(board, "invitation")
    board.goto(f"{host.url}/board")
    assert soap not in board.inner_text("main")

    # Other rooms can need attention as well.
    room = lambda: board.locator("article").filter(has_text=soap).inner_text()  # noqa: E731
    assert host.push(3) == 1
    reload_until(board, soap, host.WITHIN)
    assert "Nobody has it." in room()
    pictures and check(board, "board")
    (link,) = host.links()

    # Without JavaScript, as the pages have none.
    one, other = (phone(browser, java_script_enabled=False) for _ in range(2))
    for page in (one, other):
        page.goto(link)
        assert "Nobody has it." in page.inner_text("main")
    one.get_by_label("Your team or initials").fill("AB")
    one.get_by_role("button", name="I take it").click()
    assert "AB has it" in one.inner_text("main") and one.url == link
    other.get_by_label("Your team or initials").fill("CD")
    other.get_by_role("button", name="I take it").click()
    assert "Somebody else has this alert" in other.inner_text("main") and "AB has it since" in other.inner_text("main")
    board.reload()
    assert "AB has it" in room()
    looked = phone(browser)
    looked.goto(link)
    pictures and check(looked, "link")
    looked.emulate_media(media="print")
    assert not looked.get_by_role("button").first.is_visible(), "nobody can press a button on paper"
    looked.emulate_media(media="screen")
    assert (looked.problems, board.problems) == ([], [])

    one.get_by_label("Your team or initials").fill("AB")
    one.get_by_role("button", name="Done").click()
    assert "Reported done at" in one.inner_text("main")
    board.reload()
    assert "Reported done at" in room() and "AB has it" not in room()
    host.push(80)
    reload_until(looked, "No open alert", host.WITHIN)
    began = time.monotonic()
    while soap in board.inner_text("main"):
        assert time.monotonic() < began + host.WITHIN
        board.reload()


def robot(page, link):
    """A program that runs JavaScript, opens a link, and sends every form as it is and with every button."""
    page.goto(link)
    for index in range(page.locator("form button").count()):
        with page.expect_navigation():
            page.evaluate(
                "index => { const button = document.querySelectorAll('form button')[index]; button.form.noValidate = true;"
                " button.form.requestSubmit(button) }", index,
            )  # fmt: skip
        page.goto(link)


def test_own_server_shows_an_alert_from_its_push_to_its_end(own_host):
    with chromium() as browser:
        board = phone(browser)
        follow(own_host, browser, board, "Soap low", pictures=True)

        # The board reloads by itself.
        board.goto(f"{own_host.url}/board")
        assert own_host.push(3, "ladies") == 1
        board.get_by_role("heading", name="Soap low").wait_for(timeout=40_000)
        link = own_host.links()[-1]
        robot(phone(browser), link)
        page = phone(browser)
        page.goto(link)
        assert "Nobody has it." in page.inner_text("main")
        door = f"{own_host.url}/board/z/ladies?project=p1"
        page.goto(door)
        assert "This phone is not invited" in page.inner_text("main")
        check(page, "not-invited")
        board.goto(door)
        check(board, "door")
        board.get_by_role("button", name="I have cleaned this room").click()
        assert "Last cleaned" in board.inner_text("main")


def test_deployed_stack_shows_an_alert_from_its_push_to_its_end(stack):
    options = [f"--host-resolver-rules=MAP {stack.host.split(':')[0]}:443 127.0.0.1:{stack.aws.port}", "--ignore-certificate-errors"]
    with stack.alert_queue() as receive, chromium(*options) as browser:
        host = Stack(stack, receive)
        # From now on the receiver knows its URL.
        host.push(90)
        follow(host, browser, phone(browser), f"gents-{host.site.id}", pictures=False)
        stack.archive()
    (answered,) = host.site.sla()["alerts"]
    assert answered["acknowledged"] and answered["done"]["reported"] >= answered["acknowledged"]
    done = [each for each in host.site.lines("responses/") if each.get("alert") == answered["alert"]]
    assert {each["by"] for each in done} == {"AB"}
