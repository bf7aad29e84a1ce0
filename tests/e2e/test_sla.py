"""Response times of the deployed stack: `sla` and a second, simple reader of the archive compute the same ones."""

import datetime
import json
import subprocess
import time
import uuid

import pytest
from deployed import ROOT

PROGRAM = ROOT / "target/debug/smartclean-push"


class Site:
    """A site of its own with several zones."""

    def __init__(self, stack):
        self.stack, self.id = stack, f"site-{uuid.uuid4()}"

    def reading(self, zone, device_type, **values):
        return {
            "DevType": f"SMARTCLEAN#{device_type}", "DEVID": f"{device_type}-{zone}", "PID": self.id, "InsID": f"{zone}-{self.id}",
            "Region": "Asia/Singapore", "unixT": time.time_ns() // 1_000_000, "v": values,
        }  # fmt: skip

    def push(self, *readings):
        response = self.stack.push(*readings)
        assert response.status_code == 200 and response.json()["rejected"] == 0, response.text
        return response.json()["alerts"]

    def task(self, zone, started, done):
        """An event of the task system, with times in seconds from now; `None` is not yet."""
        seconds = lambda offset: 0 if offset is None else int(time.time()) + offset  # noqa: E731
        meta = {"Zone": f"{zone}-{self.id}", "AStart": seconds(started), "AEnd": seconds(done)}
        event = {"RoutingKey": "matrix.x.task.updated.high", "Event": "TASK", "UnixTimeInt": int(time.time()), "Meta": meta}
        response = self.stack.request("POST", "/push", data=json.dumps([event]), auth=self.stack.credentials)
        assert response.status_code == 200, response.text

    def cleaned(self, zone):
        response = self.stack.request("POST", f"/zones/{zone}-{self.id}/cleaned", auth=self.stack.credentials)
        assert response.status_code == 200, response.text

    def sla(self):
        command = [PROGRAM, "sla", "--from", f"s3://{self.stack.bucket}", "--site", self.id, "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.stack.aws.environment, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def lines(self, folder):
        return [json.loads(line) for key in self.stack.keys(folder) for line in self.stack.text(key).splitlines()]

    def naive(self):
        """Whole seconds of reaction and resolution of each alert by its id; `None` without an answer."""
        alerts = {}
        for alert in self.lines("alerts/"):
            if alert["location"].get("project") == self.id and (alert["alert"] not in alerts or "end" in alert):
                alerts[alert["alert"]] = alert
        responses = self.lines("responses/")
        return {id: (seconds(alert, responses, ["started", "done"]), seconds(alert, responses, ["done"])) for id, alert in alerts.items()}


def seconds(alert, responses, kinds):
    """The seconds until the first answer of these kinds."""
    moment = datetime.datetime.fromisoformat
    end = moment(alert["end"]["at"]) if "end" in alert else datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
    answers = responses if alert.get("answerable", True) else []
    of_zone = [response for response in answers if response["zone"] == alert["location"]["zone"]]
    times = [moment(response[kind]) for response in of_zone for kind in kinds if kind in response]
    times = [time for time in times if moment(alert["at"]) <= time <= end]
    # What the sensor measured is in the alert only.
    times += [moment(time) for time in alert.get("done", {}).values()]
    return max(0, int((min(times) - moment(alert["raised"])).total_seconds())) if times else None


def computed(report):
    """The same of a report."""
    clock = lambda clock: clock["seconds"] if clock["state"] == "answered" else None  # noqa: E731
    return {alert["alert"]: (clock(alert["reaction"]), clock(alert["resolution"])) for alert in report["alerts"]}


@pytest.fixture
def site(stack):
    return Site(stack)


def test_response_times_agree_with_a_second_reader_of_the_archive(site):
    zones = ["reported", "recorded", "measured", "open"]
    assert site.push(*(site.reading(zone, "SS", p=3) for zone in zones), site.reading("counted", "UM", count=40)) == 5
    site.stack.archive()
    time.sleep(1.1)
    site.task("recorded", 0, None)
    site.cleaned("reported")
    time.sleep(1.1)
    site.task("recorded", -1, 0)
    site.task("recorded", -1, 0)
    site.cleaned("counted")
    time.sleep(1.1)
    site.push(site.reading("measured", "SS", p=90), site.reading("recorded", "SS", p=90), site.reading("reported", "SS", p=2))
    site.stack.archive()
    report = site.sla()
    assert computed(report) == site.naive()
    answered = {alert["location"]["zone"].split("-")[0]: alert["resolution"]["state"] for alert in report["alerts"] if not alert["finding"]}
    assert answered == {"recorded": "answered", "measured": "answered", "counted": "answered", "open": "open"}
    (finding,) = [alert["finding"] for alert in report["alerts"] if alert["finding"]]
    assert "reported cleaned" in finding and "soap left 2 %" in finding
    assert report["all"]["alerts"] == 5, "the new alert about the soap that is still low waits for the end of the block"


def test_late_answers_count_whenever_they_arrive(site):
    assert site.push(site.reading("late", "UM", count=40)) == 1
    began = int(time.time())
    time.sleep(1.1)
    site.cleaned("late")
    site.stack.archive()
    (before,) = site.sla()["alerts"]
    site.task("late", began - int(time.time()), began - int(time.time()) + 1)
    site.stack.archive()
    (after,) = site.sla()["alerts"]
    assert before["end"] == after["end"], "an archived alert does not change"
    assert "recorded" in after["done"] and "recorded" not in before["done"]
