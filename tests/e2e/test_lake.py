"""Questions to what was pushed: the named queries as they are deployed, through Athena's API, against what the readings say
by other means; before their hours are compacted, after, and from the Parquet files alone."""

import datetime
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from zoneinfo import ZoneInfo

import duckdb
import pytest
from deployed import ROOT

SINGAPORE = ZoneInfo("Asia/Singapore")
UTC = datetime.timezone.utc
PROJECT = "lake-building"
# Three days ago: compacted at the next tick. Far from midnight in both zones, so that no test is about the clock.
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


# ---- What is pushed --------------------------------------------------------------------------------------------------

# (moment, zone, people): 13:30 and 16:30 UTC are two days in Singapore.
PEOPLE = [(at(3, 30), "a", 5), (at(6, 30), "a", 7), (at(0, 10), "a", 3), (at(1), "b", 4), (at(2), "b", 6), (at(2, 30), "b", 9)]
# In a push with a newer reading: filed under the day after its own.
LATE = (at(13, 50), "c", 11)
RATINGS = [("a", 2), ("a", 5), ("b", 4)]
AMMONIA = list(range(1, 21))
# What a view in SQL and code in Rust could read differently, each as it is read: column, value.
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
# One name twice: the view takes the one, who compacts the other.
TOLD_TWICE = json.dumps(reading("FD", "twice", at(4), {"rating": 4}) | {"PID": ODD}).replace('"rating"', '"rating": 2, "rating"')


def pushes():
    """Batches of readings, in the order in which they are pushed."""
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
        reading("UM", "d", at(1), {"count": 0, "b": 2500}, device="empties"),
        reading("UM", "d", at(2), {"count": 0, "b": 2300}, device="empties"),
        reading("TILT", "d", at(2), {"Xt": 1, "v": 10}, device="tree"),
        reading("OCCDESK", "d", at(2), {"occ": 1, "batt": 90}, device="desk"),
    ]
    odd = [reading("TH", "odd", at(2), {}, n=n) | {"PID": ODD} | more for n, (more, _) in enumerate(ODDITIES)]
    now = datetime.datetime.now(UTC)
    silence = [reading("TH", "e", at(1), {"t": 20}, device="talks"), reading("TH", "e", at(1), {"t": 20}, device="silent")]
    yield um
    yield [um[0], seconds, iso, digits]  # one of them once more
    yield late
    yield feedback
    yield [*ammonia, *batteries]
    yield silence
    yield [reading("TH", "e", now, {"t": 21}, device="talks")]
    yield [reading("TR", "f", None, {"p": 50})]  # nobody knows when
    yield [*odd, TOLD_TWICE]
    yield ["no reading at all", json.dumps(reading("TR", "g", at(), {"p": 60}))]


@pytest.fixture(scope="module")
def pushed(stack):
    for batch in pushes():
        assert stack.push(*batch).status_code == 200
    return stack


# ---- Questions -------------------------------------------------------------------------------------------------------


class Athena:
    """The deployed workgroup, and the questions that lie ready in it."""

    def __init__(self, stack, lake):
        self._athena = stack.aws.client("athena")
        self._group, self.database = lake.outputs["LakeWorkGroup"], lake.outputs["LakeDatabase"]
        ids = self._athena.list_named_queries(WorkGroup=self._group)["NamedQueryIds"]
        self.named = {
            query["Name"]: query["QueryString"]
            for query in self._athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]
        }

    def ask(self, text):
        """The rows of an answer, as dicts of texts."""
        begun = self._athena.start_query_execution(
            QueryString=text, WorkGroup=self._group, QueryExecutionContext={"Database": self.database}
        )
        deadline = time.monotonic() + 60
        while True:
            status = self._athena.get_query_execution(QueryExecutionId=begun["QueryExecutionId"])["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert status["State"] == "SUCCEEDED", status
        pages = self._athena.get_paginator("get_query_results").paginate(QueryExecutionId=begun["QueryExecutionId"])
        rows = [[cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@pytest.fixture(scope="module")
def athena(stack, lake):
    return Athena(stack, lake)


def ours(rows):
    return [row for row in rows if row.get("project") == PROJECT]


def everything(athena):
    """The answers of every named query, as far as they are about what is pushed here."""
    answers = {name: athena.ask(text) for name, text in athena.named.items()}
    assert len(answers) == 6
    return {name: rows if name.startswith("What was rejected") else ours(rows) for name, rows in answers.items()}


def test_people_are_counted_once_each_by_the_buildings_own_day(pushed, athena):
    expected = defaultdict(float)
    for moment, zone, people in [*PEOPLE, LATE]:
        expected[str(local_date(moment)), zone] += people
    rows = ours(athena.ask(athena.named["People per zone and day"]))
    counted = {(row["day"], row["zone"]): float(row["people"]) for row in rows if float(row["people"])}
    assert counted == dict(expected)
    assert len({day for day, zone in expected if zone == "a"}) == 2, "the data must have two of the building's days in one of UTC"


def test_ratings_are_averaged_by_zone(pushed, athena):
    rows = ours(athena.ask(athena.named["Average rating per zone"]))
    assert {row["zone"]: (float(row["average_rating"]), int(row["answers"])) for row in rows} == {"a": (3.5, 2), "b": (4, 1)}
    assert [row["zone"] for row in rows] == ["b", "a"], "the worst first"


def test_ammonia_has_a_percentile_for_each_hour(pushed, athena):
    (row,) = ours(athena.ask(athena.named["Ammonia by hour"]))
    assert row["hour"].startswith(at(5).strftime("%Y-%m-%d %H:00:00")) and row["device_type"] == "ODRDTR_BATT_V1"
    assert 18 <= float(row["ammonia_p95"]) <= 20 and float(row["ammonia_max"]) == 20 and int(row["readings"]) == 20


def test_a_device_is_silent_that_has_not_been_heard_of_today(pushed, athena):
    silent = {row["device_id"] for row in ours(athena.ask(athena.named["Devices silent today"]))}
    assert "silent" in silent and "talks" not in silent
    assert {"empties", "tree", "UM-a"} <= silent


def test_a_battery_counts_as_it_was_last_told(pushed, athena):
    rows = {row["device_id"]: row for row in ours(athena.ask(athena.named["Batteries low"]))}
    assert set(rows) == {"empties", "tree"}
    assert float(rows["empties"]["millivolts"]) == 2300 and float(rows["tree"]["per_cent"]) == 10


def test_what_was_rejected_is_told_with_its_reason_and_nowhere_else(pushed, athena):
    rows = athena.ask(athena.named["What was rejected and why"])
    assert any("no reading at all" in (row["one_of_them"] or "") or int(row["items"]) > 1 for row in rows), rows
    assert athena.ask("SELECT count(*) AS n FROM deliveries WHERE raw LIKE '%no reading at all%'") == [{"n": "0"}]
    assert athena.ask("SELECT count(*) AS n FROM raw_undated_lines WHERE line LIKE '%\"zone\":\"f\"%' OR line LIKE '%\"f\"%'")[0]["n"] != "0"


def test_a_query_reads_only_what_its_view_and_tables_have(athena):
    for text in ("SELECT nonsense FROM deliveries", "SELEC zone FROM deliveries", "SELECT 1 FROM nowhere"):
        with pytest.raises(AssertionError, match="FAILED"):
            athena.ask(text)


def test_every_object_lies_where_its_table_looks(pushed, lake):
    """MiniStack reads whatever is below a table's folder; Athena, what its partitions' template names."""
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
    assert set(templates) == {"raw_lines", "rejected_lines", "compacted"}
    for prefix, table in (("raw/", "raw_lines"), ("rejected/", "rejected_lines"), ("lake/readings/", "compacted")):
        for key in pushed.keys(prefix):
            assert templates[table].fullmatch(key), key


def test_no_question_can_cost_more_than_the_limit(stack, lake):
    group = stack.aws.client("athena").get_work_group(WorkGroup=lake.outputs["LakeWorkGroup"])["WorkGroup"]["Configuration"]
    assert str(group["EnforceWorkGroupConfiguration"]).lower() == "true"
    assert int(group["BytesScannedCutoffPerQuery"]) == 10 * 10**9
    assert group["ResultConfiguration"]["OutputLocation"] == f"s3://{stack.bucket}/athena-results/"


# ---- Compaction ------------------------------------------------------------------------------------------------------


def compact(stack, lake):
    """What the schedule's tick does, of all days."""
    name = lake.outputs["CompactFunctionName"]
    answer = stack.functions.invoke(FunctionName=name, Payload=json.dumps({"all": True}))
    done = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, done
    return done


def odd_rows(athena):
    """What `deliveries` tells of each oddity, each way of telling it once; and how often the one told twice is counted."""
    columns = sorted({column for _, told in ODDITIES for column in told})
    rows = athena.ask(
        f"""SELECT DISTINCT json_extract_scalar(raw, '$.n') AS n, {", ".join(columns)} FROM deliveries
        WHERE project = '{ODD}' AND json_extract_scalar(raw, '$.n') IS NOT NULL"""
    )
    ratings = athena.ask(athena.named["Average rating per zone"])
    return rows, [row["answers"] for row in ratings if row["project"] == ODD]


def assert_odd_rows_are_as_they_should_be(athena):
    rows, answers = odd_rows(athena)
    assert len(rows) == len(ODDITIES), "a reading is told in two ways"
    for row in rows:
        for column, value in ODDITIES[int(row["n"])][1].items():
            told = row[column]
            told = float(told) if isinstance(value, int) and told is not None else told
            # DuckDB writes as many digits of a second as there are, Athena three.
            told = re.sub(r"(:\d\d\.\d{3})0+$|(:\d\d)\.0+$", r"\1\2", told) if isinstance(value, str) and told else told
            assert told == value, row
    assert answers == ["1"], "told in two ways, counted once"


def test_questions_are_answered_the_same_before_and_after_and_from_parquet_alone(pushed, lake, athena):
    before = everything(athena)
    assert_odd_rows_are_as_they_should_be(athena)
    assert not pushed.keys("lake/")

    done = compact(pushed, lake)
    assert done["hours"] >= 1 and done["faults"] == [], done
    names = [key.rsplit("/", 1)[1] for key in pushed.keys("lake/readings/")]
    markers = [name for name in names if re.fullmatch(r"_\d\d-[0-9a-f]{16}", name)]
    parts = [name for name in names if re.fullmatch(r"\d\d-[0-9a-f]{16}-00\.parquet", name)]
    assert len(markers) == len(parts) == done["hours"] and len(names) == len(markers) + len(parts), names
    assert everything(athena) == before
    assert_odd_rows_are_as_they_should_be(athena)
    days = {row["dt"] for row in athena.ask("SELECT DISTINCT dt FROM compacted")}
    assert {str(DAY.date()), str((DAY + datetime.timedelta(days=1)).date())} <= days

    again = compact(pushed, lake)
    assert (again["hours"], again["objects"]) == (0, 0), "nothing has come since"

    # After a late push, its hour is written anew.
    late = reading("FD", "late", at(4), {"rating": 1})
    assert pushed.push(late).status_code == 200
    assert compact(pushed, lake)["hours"] == 1
    assert len(pushed.keys("lake/readings/")) == len(names), "the files before are removed"
    after = everything(athena)
    assert [row["zone"] for row in after["Average rating per zone"]] == ["b", "a", "late"]
    assert after["People per zone and day"] == before["People per zone and day"]

    # What is in Parquet answers alone.
    for day in days:
        for key in pushed.keys(f"raw/dt={day}/"):
            pushed.s3.delete_object(Bucket=pushed.bucket, Key=key)
    assert athena.ask(f"SELECT count(*) AS n FROM raw_lines WHERE dt = '{DAY.date()}'") == [{"n": "0"}]
    assert everything(athena) == after
    assert_odd_rows_are_as_they_should_be(athena)


# ---- Without AWS -----------------------------------------------------------------------------------------------------


def test_the_line_for_duckdb_counts_what_is_in_a_data_folder(tmp_path):
    """The very line of docs/lake.md, on a folder before and after it is compacted."""
    command = ROOT / "target/debug/smartclean-push"
    simulate = [command, "simulate", "--out", "data", "--devices", "20", "--days", "2", "--from", "2026-09-01"]
    made = subprocess.run(simulate, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert made
    page = (ROOT / "docs/lake.md").read_text(encoding="utf-8")
    lines = re.findall(r'^python3 -c "(.+)"$', page, re.MULTILINE)
    assert len(lines) == 2

    def run(line):
        ran = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
        return ran.stdout

    raw = run(lines[0])
    subprocess.run([command, "compact", "--data", "data"], cwd=tmp_path, check=True)
    people = duckdb.sql(
        f"SELECT sum(metrics['count']) FROM (SELECT DISTINCT reading_id, metrics FROM '{tmp_path}/data/lake/readings/*/*.parquet')"
    ).fetchall()[0][0]
    assert people > 0
    assert run(lines[0]) == raw, "the small objects are there still"
    assert run(lines[1]) == raw
