"""The saved queries of the lake through Athena's API, compared with results that are computed from the readings: before compaction, after
it, and from the Parquet files alone."""

import datetime
import gzip
import hashlib
import json
import math
import re
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from zoneinfo import ZoneInfo

import duckdb
import pytest
import zstandard
from deployed import ROOT

SINGAPORE = ZoneInfo("Asia/Singapore")
UTC = datetime.timezone.utc
PROJECT = "lake-building"
FIRST_MINUTE = "first-minute"
# Three days ago, so that the next compaction includes it. Far from midnight in both time zones.
DAY = (datetime.datetime.now(UTC) - datetime.timedelta(days=3)).replace(hour=10, minute=0, second=0, microsecond=0)


def at(hours=0, minutes=0):
    return DAY + datetime.timedelta(hours=hours, minutes=minutes)


def reading(device_type, zone, moment, values, device=None, **more):
    taken = {} if moment is None else {"unixT": int(moment.timestamp() * 1000)}
    device = device or f"{device_type}-{zone}"
    return {
        "DevType": f"SMARTCLEAN#{device_type}", "DEVID": device, "Display": f"The {device}", "PID": PROJECT,
        "InsID": zone, "PropId": "property", "Region": "Asia/Singapore", **taken, "v": values, **more,
    }  # fmt: skip


def local_date(moment):
    return moment.astimezone(SINGAPORE).date()


# ---- Data ------------------------------------------------------------------------------------------------------------

# (time, zone, people): 13:30 and 16:30 UTC are on different days in Singapore.
PEOPLE = [(at(3, 30), "a", 5), (at(6, 30), "a", 7), (at(0, 10), "a", 3), (at(1), "b", 4), (at(2), "b", 6), (at(2, 30), "b", 9)]
# In a push with a newer reading, so that it is stored under the next day.
LATE = (at(13, 50), "c", 11)
RATINGS = [("a", 2), ("a", 5), ("b", 4)]
AMMONIA = list(range(1, 21))
# Readings that the SQL of the view and the Rust code could parse differently, with the expected values by column.
ODD = "odd-building"
ODDITIES = [
    ({"v": {"count": "NaN", "b": "Infinity", "p": " 80 "}}, {"count": None, "b": None, "p": 80}),
    ({"v": {"count": "1e999", "rating": "-Infinity", "amm": "2.5e1"}}, {"count": None, "rating": None, "amm": 25}),
    ({"v": {"count": 4, "rating": 3, "co2": 400, "occupied": 1}}, {"count": 4, "rating": 3, "co2": 400, "occupied": None}),
    ({"InsID": "  ", "Display": " The bin ", "Region": " Asia/Singapore "}, {"zone": None, "display": "The bin", "region": "Asia/Singapore"}),
    ({"DEVID": " ", "ID": 4711, "DevType": " SMARTCLEAN#BIN "}, {"device_id": "4711", "device_type": "BIN"}),
    ({"unixT": 1790000000.1239}, {"event_time": "2026-09-21 14:13:20.123"}),
    ({"DevType": "", "unixT": "1790000000"}, {"device_type": None, "event_time": "2026-09-21 14:13:20"}),
    ({"DevType": "ACME#BIN", "v": {"p": 3, "occ": 1, "occupied": 1}}, {"device_type": "ACME#BIN", "p": 3, "occupied": None}),
]
# A duplicate member: the view uses one value, the compaction the other.
DUPLICATE_MEMBER = json.dumps(reading("FD", "twice", at(4), {"rating": 4}) | {"PID": ODD}).replace('"rating"', '"rating": 2, "rating"')


def pushes():
    """The batches, in the order of the pushes."""
    um = [reading("UM", zone, moment, {"count": count, "b": 3000}) for moment, zone, count in PEOPLE[:3]]
    seconds = reading("PPLCTR", "b", None, {"count": 4, "out_count": 1}, unixT=int(PEOPLE[3][0].timestamp()))
    iso = reading("PPLCTR", "b", None, {"count": 6}, time=PEOPLE[4][0].astimezone(SINGAPORE).strftime("%Y-%m-%dT%H:%M:%S+0800"))
    digits = reading("PPLCTR", "b", None, {"count": "9"}, t=PEOPLE[5][0].astimezone(SINGAPORE).strftime("%Y%m%d%H%M%S"))
    late = [reading("UM", LATE[1], LATE[0], {"count": LATE[2]}), reading("TR", "c", at(14, 10), {"p": 80})]
    feedback = [
        reading("FD", zone, at(4, number), {"rating": rating, "reasons": {}}) for number, (zone, rating) in enumerate(RATINGS)
    ]
    ammonia = [reading("ODRDTR_BATT_V1", "a", at(5, level), {"amm": level, "rh": 730, "temp": 304}) for level in AMMONIA]
    batteries = [
        reading("UM", "d", at(1), {"count": 0, "b": 2500}, device="discharging"),
        reading("UM", "d", at(2), {"count": 0, "b": 2300}, device="discharging"),
        reading("TILT", "d", at(2), {"Xt": 1, "v": 10}, device="tree"),
        reading("OCCDESK", "d", at(2), {"occ": 1, "batt": 90}, device="desk"),
    ]
    odd = [reading("TH", "odd", at(2), {}, n=n) | {"PID": ODD} | more for n, (more, _) in enumerate(ODDITIES)]
    now = datetime.datetime.now(UTC)
    silence = [reading("TH", "e", at(1), {"t": 20}, device="active"), reading("TH", "e", at(1), {"t": 20}, device="silent")]
    yield um
    yield [um[0], seconds, iso, digits]  # The first reading is a duplicate.
    yield late
    yield feedback
    yield [*ammonia, *batteries]
    yield silence
    yield [reading("TH", "e", now, {"t": 21}, device="active")]
    yield [reading("TR", "f", None, {"p": 50})]  # No time.
    yield [*odd, DUPLICATE_MEMBER]
    yield ["not a reading", json.dumps(reading("TR", "g", at(), {"p": 60}))]


def buffer(stack, keys, folder, *, kept=1):
    """Adds a buffered object of pushes, two records of each, as Firehose writes it. Removes the objects of all but the last ones."""
    records = []
    for key in keys:
        metadata = stack.s3.head_object(Bucket=stack.bucket, Key=key)["Metadata"]
        record = {"key": key, "received": metadata["received"], "request_id": metadata["request-id"], "source": metadata["source"]}
        records.append(json.dumps({**record, "readings": stack.text(key).split("\n")[:-1]}))
    body = gzip.compress("".join(f"{record}\n" for record in 2 * records).encode())
    stack.s3.put_object(Bucket=stack.bucket, Key=f"raw/{folder}/raw-1-{uuid.uuid4()}.ndjson.gz", Body=body)
    for key in keys[: len(keys) - kept]:
        stack.s3.delete_object(Bucket=stack.bucket, Key=key)


@pytest.fixture(scope="module")
def pushed(stack):
    keys = []
    for batch in pushes():
        response = stack.push(*batch)
        assert response.status_code == 200
        keys.extend(stack.keys_of_batch(response))
    of_day = [key for key in keys if key.startswith(f"raw/dt={DAY.date()}/")]
    assert len(of_day) > 5
    # One in the folder of another day: it came late.
    buffer(stack, of_day[0::3], f"dt={DAY.date()}/hh={DAY:%H}")
    buffer(stack, of_day[1::3], f"dt={(DAY + datetime.timedelta(days=1)).date()}/hh=01")
    # A push of the first minute of a period, in an object that was begun on the day before.
    first = datetime.datetime.combine(datetime.datetime.now(UTC).date(), datetime.time(0, 1), UTC) - datetime.timedelta(days=7)
    response = stack.push(reading("ODRDTR_BATT_V1", "first", first, {"amm": 7}) | {"PID": FIRST_MINUTE})
    before = first - datetime.timedelta(days=1)
    buffer(stack, stack.keys_of_batch(response), f"dt={before.date()}/hh=23", kept=0)
    return stack


# ---- Alerts and responses --------------------------------------------------------------------------------------------

# A line of `alerts/` with every member. A test in crates/domain/src/alert/life.rs compares it with the code.
ALERT = json.loads((ROOT / "tests/data/alert.json").read_text(encoding="utf-8"))
ANSWERS = ("started", "done", "contradiction", "end")
# In UTC it is Sunday, in Singapore Monday.
SUNDAY = DAY.replace(hour=17) - datetime.timedelta(days=DAY.weekday() + 1)


def iso(moment):
    return moment.isoformat().replace("+00:00", "Z")


def life(zone, raised, *ends, kind="threshold", answerable=True, reason="resolved", number=0, started=None, done=None, source=None):
    """An alert that fired a minute before it was raised: its lines, and what the view `alerts` must have. `ends` are the times of its lines with an end."""
    location = ALERT["location"] | {"project": PROJECT, "zone": zone}
    member = {"alert": hashlib.sha256(f"{zone} {number}".encode()).hexdigest(), "kind": kind, "location": location, "device": zone,
              "at": iso(raised - datetime.timedelta(minutes=1)), "raised": iso(raised).replace("Z", ".000000001Z"), **({} if answerable else {"answerable": False})}  # fmt: skip
    lines = [{name: value for name, value in (ALERT | member).items() if name not in ANSWERS}]
    for end in ends:
        answers = {"done": {"measured": iso(end)}} if reason == "resolved" else {}
        answers |= {"contradiction": ALERT["contradiction"] | {"at": iso(end)}} if reason == "contradicted" else {}
        lines.append(lines[0] | answers | {"end": {"at": iso(end), "reason": reason}})
    ended = ends[-1] if ends else None
    if reason == "resolved" and done is None:
        done, source = ended, ended and "measured"
    row = {"alert": member["alert"][:32], "zone": zone, "raised": raised, "started": started, "done": done, "done_source": source,
           "ended": ended, "end_reason": reason if ends else None}  # fmt: skip
    return lines, row


def response(zone, source="recorded", *, started=None, done=None, received=at(30), project=None):
    times = {name: iso(moment) for name, moment in (("started", started), ("done", done)) if moment}
    return {"received": iso(received), "zone": zone, **({"project": project} if project else {}), "source": source, **times}


LIVES = [
    life("answered", at(1), at(2), started=at(1, 10), done=at(1, 30), source="recorded"),
    life("twice", at(1), done=at(1, 40), source="recorded"),
    life("alone", at(1)),
    life("late", at(1), at(25), kind="accumulate", reason="expired", done=at(3), source="reported"),
    life("quiet", at(1), at(4), kind="silence", answerable=False),
    life("weak-battery", at(1), at(4), answerable=False),
    life("soap", at(1), at(2, 10), reason="contradicted", done=at(1, 42), source="reported"),
    life("old-rule", at(1), at(2), reason="withdrawn"),
    life("at-once", at(1), at(2), started=at(0, 59.5), done=at(1, 5), source="recorded"),
    life("worse-again", at(1), at(2), at(2, 30)),
    life("monday", SUNDAY, SUNDAY + datetime.timedelta(minutes=7)),
    *(life("often", at(-6, 20 * n), at(-6, 21 * n), number=n) for n in range(1, 11)),
]
RESPONSES = [
    response("answered", done=at(0, 30)),  # Before the alert.
    response("answered", started=at(1, 10), done=at(1, 30)),
    response("answered", started=at(1, 10), done=at(1, 30), received=at(31)),  # Again.
    response("answered", started=at(1, 20), done=at(2, 30)),  # Done after the end of the alert.
    response("twice", "reported", done=at(1, 50)),
    response("twice", done=at(1, 40), project=PROJECT),
    response("twice", done=at(1, 20), project="another building"),
    response("late", "reported", done=at(3), received=at(50)),
    response("quiet", done=at(2)),
    response("weak-battery", started=at(1, 10), done=at(2)),
    response("soap", "reported", done=at(1, 42)),
    response("at-once", started=at(0, 59.5), done=at(1, 5)),
]


@pytest.fixture(scope="module")
def archived(stack):
    """The bucket with the alerts and the responses of these tests: each line as often as sweeps that are interrupted can write it."""
    for folder, objects in {
        "alerts": [[line for lines, _ in LIVES for line in lines[:2]], [line for lines, _ in LIVES for line in (lines[-1], lines[0])]],
        "responses": [RESPONSES[:6], RESPONSES],
    }.items():
        for days, lines in enumerate(objects):
            body = zstandard.compress("".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines).encode())
            key = f"{folder}/dt={(DAY + datetime.timedelta(days=days)).date()}/{hashlib.sha256(body).hexdigest()[:32]}.ndjson.zst"
            stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=body)
    return stack


def nearest_rank(values, share):
    """The smallest value that at least this share of the values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


# ---- Queries ---------------------------------------------------------------------------------------------------------


class Athena:
    """The deployed workgroup and its saved queries."""

    def __init__(self, stack, lake):
        self._athena = stack.aws.client("athena")
        self._group, self.database = lake.outputs["LakeWorkGroup"], lake.outputs["LakeDatabase"]
        ids = self._athena.list_named_queries(WorkGroup=self._group)["NamedQueryIds"]
        self.saved = {
            query["Name"]: query["QueryString"]
            for query in self._athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]
        }

    def query(self, text):
        """Runs a query. Returns its rows as dicts of texts."""
        execution = self._athena.start_query_execution(
            QueryString=text, WorkGroup=self._group, QueryExecutionContext={"Database": self.database}
        )
        deadline = time.monotonic() + 60
        while True:
            status = self._athena.get_query_execution(QueryExecutionId=execution["QueryExecutionId"])["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert status["State"] == "SUCCEEDED", status
        pages = self._athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution["QueryExecutionId"])
        rows = [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@pytest.fixture(scope="module")
def athena(stack, lake):
    return Athena(stack, lake)


def of_this_test(rows):
    return [row for row in rows if row.get("project") == PROJECT]


def results(athena):
    """The results of every saved query for the data of this test, without the times until now."""
    results = {name: athena.query(text) for name, text in athena.saved.items()}
    assert len(results) == 9
    for row in results["Alerts open now"]:
        del row["minutes_open"]
    return {name: rows if name.startswith("What was rejected") else of_this_test(rows) for name, rows in results.items()}


def test_people_are_counted_once_by_local_day(pushed, athena):
    expected = defaultdict(float)
    for moment, zone, people in [*PEOPLE, LATE]:
        expected[str(local_date(moment)), zone] += people
    rows = of_this_test(athena.query(athena.saved["People per zone and day"]))
    counted = {(row["day"], row["zone"]): float(row["people"]) for row in rows if float(row["people"])}
    assert counted == dict(expected)
    assert len({day for day, zone in expected if zone == "a"}) == 2, "the data must have two local days in one day of UTC"


def test_ratings_are_averaged_by_zone(pushed, athena):
    rows = of_this_test(athena.query(athena.saved["Average rating per zone"]))
    assert {row["zone"]: (float(row["average_rating"]), int(row["ratings"])) for row in rows} == {"a": (3.5, 2), "b": (4, 1)}
    assert [row["zone"] for row in rows] == ["b", "a"], "worst first"


def test_ammonia_has_a_percentile_per_hour(pushed, athena):
    (row,) = of_this_test(athena.query(athena.saved["Ammonia by hour"]))
    assert row["hour"].startswith(at(5).strftime("%Y-%m-%d %H:00:00")) and row["device_type"] == "ODRDTR_BATT_V1"
    assert 18 <= float(row["ammonia_p95"]) <= 20 and float(row["ammonia_max"]) == 20 and int(row["readings"]) == 20


def test_a_period_includes_pushes_of_an_object_that_began_before_it(pushed, athena):
    rows = athena.query(athena.saved["Ammonia by hour"])
    assert [row["zone"] for row in rows if row["project"] == FIRST_MINUTE] == ["first"]


def test_device_without_a_reading_today_is_silent(pushed, athena):
    silent = {row["device_id"] for row in of_this_test(athena.query(athena.saved["Devices silent today"]))}
    assert "silent" in silent and "active" not in silent
    assert {"discharging", "tree", "UM-a"} <= silent


def test_latest_battery_level_counts(pushed, athena):
    rows = {row["device_id"]: row for row in of_this_test(athena.query(athena.saved["Batteries low"]))}
    assert set(rows) == {"discharging", "tree"}
    assert float(rows["discharging"]["millivolts"]) == 2300 and float(rows["tree"]["per_cent"]) == 10


def test_rejected_item_has_a_reason_and_is_in_no_other_table(pushed, athena):
    rows = athena.query(athena.saved["What was rejected and why"])
    assert any("not a reading" in (row["one_of_them"] or "") or int(row["items"]) > 1 for row in rows), rows
    assert athena.query("SELECT count(*) AS n FROM deliveries WHERE raw LIKE '%not a reading%'") == [{"n": "0"}]
    assert athena.query("SELECT count(*) AS n FROM raw_undated_lines WHERE line LIKE '%\"zone\":\"f\"%' OR line LIKE '%\"f\"%'")[0]["n"] != "0"


def moment_of(cell):
    """A timestamp of a result."""
    return cell and datetime.datetime.fromisoformat(cell).replace(tzinfo=UTC)


def test_alerts_are_rows_as_they_ended_with_all_responses(archived, athena):
    rows = of_this_test(athena.query("SELECT * FROM alerts"))
    times = {"raised", "started", "done", "ended"}
    shown = [{name: moment_of(row[name]) if name in times else row[name] for name in LIVES[0][1]} for row in rows]
    assert sorted(shown, key=lambda row: row["alert"]) == sorted((row for _, row in LIVES), key=lambda row: row["alert"])
    (twice,) = (row for row in rows if row["zone"] == "twice")
    assert (moment_of(twice["done_reported"]), moment_of(twice["done_recorded"])) == (at(1, 50), at(1, 40))
    columns = {"rule": "soap-low", "title": "Soap low", "severity": "high", "zone_name": "Gents", "display": "Soap at the door",
               "device": "twice", "metric": "p", "unit": "percent", "kind": "threshold"}  # fmt: skip
    assert {name: twice[name] for name in columns} == columns
    assert (float(twice["value"]), float(twice["breach_limit"])) == (3, 5)
    assert moment_of(twice["event_time"]) == at(0, 59) and json.loads(twice["raw"])["respond_within"] == "PT10M"


def test_responses_are_rows_once_with_their_first_receipt(archived, athena):
    names = ("zone", "project", "source", "started", "done", "received")
    rows = [tuple(moment_of(row[name]) if name in names[3:] else row[name] for name in names) for row in athena.query("SELECT * FROM responses")]
    expected = {}
    for line in RESPONSES:
        fact = tuple(line.get(name) for name in names[:5])
        expected[fact] = min(line["received"], expected.get(fact, line["received"]))
    expected = {(*fact[:3], *(moment_of(cell) for cell in (*fact[3:], received))) for fact, received in expected.items()}
    zones = {line["zone"] for line in RESPONSES}
    assert sorted(map(str, (row for row in rows if row[0] in zones))) == sorted(map(str, expected))


def test_response_times_are_exact_percentiles_by_zone_and_local_week(archived, athena):
    times = defaultdict(list)
    for _, row in LIVES:
        day = local_date(row["raised"])
        if row["end_reason"] != "withdrawn":
            times[str(day - datetime.timedelta(days=day.weekday())), row["zone"]].append(row)
    expected = {}
    for key, lives in times.items():
        minutes = lambda row, moment: max(0, (moment - row["raised"]).total_seconds() / 60)  # noqa: E731
        began = [minutes(row, row["started"] or row["done"]) for row in lives if row["started"] or row["done"]]
        done = [minutes(row, row["done"]) for row in lives if row["done"]]
        ranks = [nearest_rank(values, share) for values in (began, done) for share in (0.5, 0.9)]
        expected[key] = (len(lives), len(began), len(done), *ranks)
    rows = of_this_test(athena.query(athena.saved["Response times per zone and week"]))
    columns = ("alerts", "count_began", "count_done", "began_median", "began_90_percent", "done_median", "done_90_percent")
    shown = {(row["week"][:10], row["zone"]): tuple(cell and float(cell) for cell in map(row.get, columns)) for row in rows}
    assert shown == expected
    often, monday = ([values for (_, zone), values in shown.items() if zone == name] for name in ("often", "monday"))
    assert often == [(10, 10, 10, 5, 9, 5, 9)], "the data must have a zone with several alerts in a week"
    assert [week for week, zone in shown if zone == "monday"] == [str(local_date(SUNDAY))] and len(monday) == 1


def test_open_alerts_have_no_end_and_wait_in_order(archived, athena):
    rows = of_this_test(athena.query(athena.saved["Alerts open now"]))
    assert [(row["zone"], moment_of(row["done"]), row["done_source"]) for row in rows] == [("alone", None, None), ("twice", at(1, 40), "recorded")]
    age = (datetime.datetime.now(UTC) - at(1)).total_seconds() / 60
    assert all(age - 5 < float(row["minutes_open"]) <= age + 1 for row in rows)


def test_contradictions_have_what_the_sensor_measured(archived, athena):
    (row,) = of_this_test(athena.query(athena.saved["Done but measured otherwise"]))
    assert (row["zone"], moment_of(row["done"]), row["done_source"]) == ("soap", at(1, 42), "reported")
    assert (moment_of(row["contradicted"]), float(row["measured"]), float(row["breach_limit"]), row["unit"]) == (at(2, 10), 2, 5, "percent")


def test_an_alert_and_a_cleaning_of_the_receiver_are_rows_after_a_sweep(stack, athena):
    zone = f"zone-{uuid.uuid4()}"

    def push(left):
        return stack.push(reading("TR", zone, datetime.datetime.now(UTC), {"p": left}) | {"PID": "received-building"}).json()

    assert push(3)["alerts"] == 1
    stack.archive()
    assert stack.request("POST", f"/zones/{zone}/cleaned", auth=stack.credentials).status_code == 200
    (opened,) = athena.query(f"SELECT * FROM alerts WHERE zone = '{zone}'")
    assert (opened["rule"], float(opened["value"]), opened["unit"]) == ("toilet-paper-low", 3, "percent")
    assert opened["done"] is opened["ended"] is None, "only a sweep archives a response"
    push(2)
    stack.archive()
    row = next(row for row in athena.query(f"SELECT * FROM alerts WHERE zone = '{zone}'") if row["alert"] == opened["alert"])
    assert (row["done_source"], row["end_reason"]) == ("reported", "contradicted")
    assert row["raised"] == opened["raised"] < row["done"] < row["contradicted"] == row["ended"]
    (response,) = athena.query(f"SELECT * FROM responses WHERE zone = '{zone}'")
    assert (response["source"], response["done"]) == ("reported", row["done"])


def test_invalid_query_fails(athena):
    for text in ("SELECT nonsense FROM deliveries", "SELEC zone FROM deliveries", "SELECT 1 FROM nowhere"):
        with pytest.raises(AssertionError, match="FAILED"):
            athena.query(text)


def test_every_object_is_in_a_partition_of_its_table(pushed, archived, lake):
    """MiniStack reads everything below the folder of a table, Athena only the partitions."""
    glue = pushed.aws.client("glue")
    templates = {}
    for table in glue.get_tables(DatabaseName=lake.outputs["LakeDatabase"])["TableList"]:
        parameters = table.get("Parameters", {})
        if template := parameters.get("storage.location.template"):
            assert parameters["projection.enabled"] == "true"
            assert {key["Name"] for key in table["PartitionKeys"]} == set(re.findall(r"\$\{(\w+)\}", template))
            path = re.escape(template.removeprefix(f"s3://{pushed.bucket}/"))
            path = path.replace(r"\$\{dt\}", r"\d{4}-\d\d-\d\d").replace(r"\$\{hh\}", r"[01]\d|2[0-3]".join("()"))
            templates[table["Name"]] = re.compile(path + r"[^/]+")
    folders = {"raw/": "raw_objects", "rejected/": "rejected_lines", "lake/readings/": "compacted", "alerts/": "alert_lines", "responses/": "response_lines"}
    assert set(templates) == set(folders.values())
    for prefix, table in folders.items():
        for key in pushed.keys(prefix):
            assert templates[table].fullmatch(key), key


def test_workgroup_enforces_the_scan_limit(stack, lake):
    group = stack.aws.client("athena").get_work_group(WorkGroup=lake.outputs["LakeWorkGroup"])["WorkGroup"]["Configuration"]
    assert str(group["EnforceWorkGroupConfiguration"]).lower() == "true"
    assert int(group["BytesScannedCutoffPerQuery"]) == 10 * 10**9
    assert group["ResultConfiguration"]["OutputLocation"] == f"s3://{stack.bucket}/athena-results/"


# ---- Compaction ------------------------------------------------------------------------------------------------------


def compact(stack, lake):
    """Invokes the compaction function for all days. Returns its response."""
    name = lake.outputs["CompactFunctionName"]
    invocation = stack.functions.invoke(FunctionName=name, Payload=json.dumps({"all": True}))
    response = json.loads(invocation["Payload"].read())
    assert "FunctionError" not in invocation, response
    return response


def odd_rows(athena):
    """The distinct rows of `deliveries` for the oddities, and the number of ratings of DUPLICATE_MEMBER."""
    columns = sorted({column for _, expected in ODDITIES for column in expected})
    rows = athena.query(
        f"""SELECT DISTINCT json_extract_scalar(raw, '$.n') AS n, {", ".join(columns)} FROM deliveries
        WHERE project = '{ODD}' AND json_extract_scalar(raw, '$.n') IS NOT NULL"""
    )
    rows_by_zone = athena.query(athena.saved["Average rating per zone"])
    return rows, [row["ratings"] for row in rows_by_zone if row["project"] == ODD]


def assert_odd_rows(athena):
    rows, ratings = odd_rows(athena)
    assert len(rows) == len(ODDITIES), "a reading has two different rows"
    for row in rows:
        for column, value in ODDITIES[int(row["n"])][1].items():
            cell = row[column]
            cell = float(cell) if isinstance(value, int) and cell is not None else cell
            # DuckDB prints all digits of a second, Athena three.
            cell = re.sub(r"(:\d\d\.\d{3})0+$|(:\d\d)\.0+$", r"\1\2", cell) if isinstance(value, str) and cell else cell
            assert cell == value, row
    assert ratings == ["1"], "the duplicate member must count once"


def test_results_are_the_same_before_and_after_compaction_and_from_parquet_alone(pushed, archived, lake, athena):
    before, facts = results(athena), [*pushed.keys("alerts/"), *pushed.keys("responses/")]
    assert facts and all(before.values())
    assert_odd_rows(athena)
    assert not pushed.keys("lake/")

    response = compact(pushed, lake)
    assert response["hours"] >= 1 and response["faults"] == [], response
    names = [key.rsplit("/", 1)[1] for key in pushed.keys("lake/readings/")]
    markers = [name for name in names if re.fullmatch(r"_\d\d-[0-9a-f]{16}", name)]
    parts = [name for name in names if re.fullmatch(r"\d\d-[0-9a-f]{16}-00\.parquet", name)]
    assert len(markers) == len(parts) == response["hours"] and len(names) == len(markers) + len(parts), names
    assert results(athena) == before
    assert_odd_rows(athena)
    days = {row["dt"] for row in athena.query("SELECT DISTINCT dt FROM compacted")}
    assert {str(DAY.date()), str((DAY + datetime.timedelta(days=1)).date())} <= days

    second = compact(pushed, lake)
    assert (second["hours"], second["objects"]) == (0, 0), "nothing is new"

    # After a late push, its hour is compacted again.
    late = reading("FD", "late", at(4), {"rating": 1})
    assert pushed.push(late).status_code == 200
    assert compact(pushed, lake)["hours"] == 1
    assert len(pushed.keys("lake/readings/")) == len(names), "the previous files must be removed"
    after = results(athena)
    assert [row["zone"] for row in after["Average rating per zone"]] == ["b", "a", "late"]
    assert after["People per zone and day"] == before["People per zone and day"]

    # From the Parquet files alone.
    for day in days:
        for key in pushed.keys(f"raw/dt={day}/"):
            pushed.s3.delete_object(Bucket=pushed.bucket, Key=key)
    assert athena.query(f"SELECT count(*) AS n FROM raw_lines WHERE dt = '{DAY.date()}'") == [{"n": "0"}]
    assert results(athena) == after
    assert_odd_rows(athena)
    assert [*pushed.keys("alerts/"), *pushed.keys("responses/")] == facts


# ---- DuckDB ----------------------------------------------------------------------------------------------------------


def test_duckdb_commands_of_the_documentation_count_a_data_folder(tmp_path):
    """The commands in docs/lake.md, before and after compaction."""
    command = ROOT / "target/debug/smartclean-push"
    simulate = [command, "simulate", "--out", "data", "--devices", "20", "--days", "2", "--from", "2026-09-01"]
    subprocess.run(simulate, cwd=tmp_path, check=True, capture_output=True)
    # As in a folder copied from a bucket: every third push is buffered, twice.
    data, records = tmp_path / "data", []
    for path in sorted(data.glob("raw/*/*/*.zst"))[::3]:
        key = path.relative_to(data)
        record = {"key": str(key), **json.loads((data / f"metadata/{key}.json").read_text())}
        readings = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()).decode().split("\n")[:-1]
        records.append(json.dumps({**record, "readings": readings}) + "\n")
        path.unlink()
    (data / "raw/dt=2026-09-01/hh=10/raw-1.ndjson.gz").write_bytes(gzip.compress("".join(2 * records).encode()))
    page = (ROOT / "docs/lake.md").read_text(encoding="utf-8")
    lines = re.findall(r'^python3 -c "(.+)"$', page, re.MULTILINE)
    assert len(lines) == 3

    def run(line):
        return subprocess.run([sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    raw = run(lines[0])
    subprocess.run([command, "compact", "--data", "data"], cwd=tmp_path, check=True)
    people = duckdb.sql(
        f"SELECT sum(metrics['count']) FROM (SELECT DISTINCT reading_id, metrics FROM '{tmp_path}/data/lake/readings/*/*.parquet')"
    ).fetchall()[0][0]
    assert people > 0
    assert run(lines[0]) == raw, "the small objects must still exist"
    assert run(lines[1]) == raw


def test_duckdb_command_of_the_documentation_computes_response_times_of_a_data_folder(tmp_path):
    folder = tmp_path / "data/alerts/dt=2026-11-24"
    folder.mkdir(parents=True)
    raised = {name: value for name, value in ALERT.items() if name not in ANSWERS}
    ladies = raised | {"alert": "00", "location": ALERT["location"] | {"zone": "ladies"}}
    for name, lines in {"a": [raised, ladies], "b": [ALERT, raised]}.items():
        (folder / f"{name}.ndjson.zst").write_bytes(zstandard.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))
    line = re.findall(r'^python3 -c "(.+)"$', (ROOT / "docs/lake.md").read_text(encoding="utf-8"), re.MULTILINE)[2]
    shown = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"(gents|ladies) +│ +(\d+) │ +([\d.]{5}|NULL)", shown) == [("gents", "1", "40.98"), ("ladies", "1", "NULL")]
