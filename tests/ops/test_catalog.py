"""The tables and the view of lake.yaml have what Athena requires of an entry in the Glue catalog. The local stand-in for Athena
reads entries without it, too.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-glue-table-tableinput.html
https://docs.aws.amazon.com/athena/latest/ug/glue-best-practices.html
"""

import copy
import json
import re

import pytest
from ops import ROOT
from samcli.yamlhelper import yaml_parse

# Type in the catalog -> type in Athena's engine.
ENGINE_TYPES = {"string": "varchar", "double": "double", "timestamp": "timestamp(3)", "date": "date"}


def tables():
    template = yaml_parse((ROOT / "lake.yaml").read_text(encoding="utf-8"))
    resources = template["Resources"].items()
    return {id: each["Properties"]["TableInput"] for id, each in resources if each["Type"] == "AWS::Glue::Table"}


def faults(table):
    """What Athena would refuse."""
    if not isinstance(table.get("PartitionKeys"), list):
        yield "PartitionKeys is not a list"
    storage = table["StorageDescriptor"]
    if "SerdeInfo" not in storage:
        yield "no SerdeInfo"
    if table["TableType"] == "VIRTUAL_VIEW":
        yield from faults_of_view(table)
        return
    if not storage.get("SerdeInfo", {}).get("SerializationLibrary"):
        yield "no SerializationLibrary"
    yield from (f"no {name}" for name in ("Location", "InputFormat", "OutputFormat") if not storage.get(name))


def faults_of_view(table):
    if table["Parameters"].get("presto_view") != "true":
        yield "no presto_view"
    text, values = table["ViewOriginalText"]["Fn::Sub"]
    if text != "/* Presto View: ${Encoded} */" or table["ViewExpandedText"] != "/* Presto View */":
        yield "not the text of a view"
    view = json.loads(values["Encoded"]["Fn::Base64"]["Fn::Sub"])
    if view["catalog"] != "awsdatacatalog" or view["schema"] != "${Lake}" or not view["originalSql"].strip():
        yield "not a view of this database"
    declared = [(each["Name"], ENGINE_TYPES[each["Type"]]) for each in table["StorageDescriptor"]["Columns"]]
    if [(each["name"], each["type"]) for each in view["columns"]] != declared:
        yield "columns of the view are not those of the catalog"


@pytest.mark.parametrize("id", tables())
def test_athena_can_read_every_table(id):
    assert list(faults(tables()[id])) == []


@pytest.mark.parametrize("id", tables())
def test_what_athena_requires_is_missed_when_it_is_gone(id):
    whole = tables()[id]
    for path in [("PartitionKeys",), ("StorageDescriptor", "SerdeInfo")]:
        table = copy.deepcopy(whole)
        holder = table
        for name in path[:-1]:
            holder = holder[name]
        del holder[path[-1]]
        assert list(faults(table)), path


def test_partitions_are_projected_from_the_keys():
    """Each key has a projection, and each location names each key."""
    partitioned = {id: table for id, table in tables().items() if table["PartitionKeys"]}
    assert set(partitioned) == {"RawLines", "RejectedLines", "Compacted"}
    for table in partitioned.values():
        keys = {key["Name"] for key in table["PartitionKeys"]}
        parameters = table["Parameters"]
        assert parameters["projection.enabled"] == "true"
        assert {name.split(".")[1] for name in parameters if name.endswith(".type")} == keys
        assert set(re.findall(r"\$\{!(\w+)\}", parameters["storage.location.template"]["Fn::Sub"])) == keys
