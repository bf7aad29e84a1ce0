"""The saved queries of the lake through Athena's API, compared with results that are computed from the readings: before compaction, after
it, and from the Parquet files alone."""

import datetime
import gzip
import json
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
    """The results of every saved query for the readings of this test."""
    results = {name: athena.query(text) for name, text in athena.saved.items()}
    assert len(results) == 6
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


def test_invalid_query_fails(athena):
    for text in ("SELECT nonsense FROM deliveries", "SELEC zone FROM deliveries", "SELECT 1 FROM nowhere"):
        with pytest.raises(AssertionError, match="FAILED"):
            athena.query(text)


def test_every_object_is_in_a_partition_of_its_table(pushed, lake):
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
    assert set(templates) == {"raw_objects", "rejected_lines", "compacted"}
    for prefix, table in (("raw/", "raw_objects"), ("rejected/", "rejected_lines"), ("lake/readings/", "compacted")):
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


def test_results_are_the_same_before_and_after_compaction_and_from_parquet_alone(pushed, lake, athena):
    before = results(athena)
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
    assert len(lines) == 2

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
