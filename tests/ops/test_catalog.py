"""The tables and the views of lake.yaml have the members that Athena requires in the Glue catalog. MiniStack does not
require them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-glue-table-tableinput.html
https://docs.aws.amazon.com/athena/latest/ug/glue-best-practices.html
"""

import copy
import json
import re

import pytest
from ops import ROOT
from samcli.yamlhelper import yaml_parse

# Type in the catalog -> type in the engine of Athena.
ENGINE_TYPES = {"string": "varchar", "double": "double", "timestamp": "timestamp(3)", "date": "date"}


def tables():
    template = yaml_parse((ROOT / "lake.yaml").read_text(encoding="utf-8"))
    resources = template["Resources"].items()
    return {id: each["Properties"]["TableInput"] for id, each in resources if each["Type"] == "AWS::Glue::Table"}


def errors(table):
    """The reasons for which Athena would refuse a table."""
    if not isinstance(table.get("PartitionKeys"), list):
        yield "PartitionKeys is not a list"
    storage = table["StorageDescriptor"]
    if "SerdeInfo" not in storage:
        yield "no SerdeInfo"
    if table["TableType"] == "VIRTUAL_VIEW":
        yield from view_errors(table)
        return
    if not storage.get("SerdeInfo", {}).get("SerializationLibrary"):
        yield "no SerializationLibrary"
    yield from (f"no {name}" for name in ("Location", "InputFormat", "OutputFormat") if not storage.get(name))


def view_errors(table):
    if table["Parameters"].get("presto_view") != "true":
        yield "no presto_view"
    text, values = table["ViewOriginalText"]["Fn::Sub"]
    if text != "/* Presto View: ${Encoded} */" or table["ViewExpandedText"] != "/* Presto View */":
        yield "not the format of a view"
    view = json.loads(values["Encoded"]["Fn::Base64"]["Fn::Sub"])
    if view["catalog"] != "awsdatacatalog" or view["schema"] != "${Lake}" or not view["originalSql"].strip():
        yield "not a view of this database"
    declared = [(each["Name"], ENGINE_TYPES[each["Type"]]) for each in table["StorageDescriptor"]["Columns"]]
    if [(each["name"], each["type"]) for each in view["columns"]] != declared:
        yield "columns differ from the catalog"


@pytest.mark.parametrize("id", tables())
def test_athena_can_read_every_table(id):
    assert list(errors(tables()[id])) == []


@pytest.mark.parametrize("id", tables())
def test_missing_members_are_found(id):
    complete = tables()[id]
    for path in [("PartitionKeys",), ("StorageDescriptor", "SerdeInfo")]:
        table = copy.deepcopy(complete)
        holder = table
        for name in path[:-1]:
            holder = holder[name]
        del holder[path[-1]]
        assert list(errors(table)), path


def test_every_partition_key_has_a_projection_and_is_part_of_the_location():
    partitioned = {id: table for id, table in tables().items() if table["PartitionKeys"]}
    assert set(partitioned) == {"RawObjects", "RejectedLines", "Compacted", "AlertLines", "ResponseLines"}
    for table in partitioned.values():
        keys = {key["Name"] for key in table["PartitionKeys"]}
        parameters = table["Parameters"]
        assert parameters["projection.enabled"] == "true"
        assert {name.split(".")[1] for name in parameters if name.endswith(".type")} == keys
        assert set(re.findall(r"\$\{!(\w+)\}", parameters["storage.location.template"]["Fn::Sub"])) == keys
