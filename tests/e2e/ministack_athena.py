"""Makes MiniStack's Athena accept the SQL of Athena. MiniStack runs the text of a query in DuckDB. This module

- parses the text in Athena's dialect, which refuses invalid queries, and translates it to DuckDB's;
- replaces each view by its query in the catalog;
- gives the tables of lines the hidden column `$path`;
- reads timestamps in Parquet files as UTC without a zone, and gives empty tables the map columns that they declare;
- defines functions that have another name in DuckDB, and sets the time zone of the session to UTC;
- creates the named queries of a template.
"""

import base64
import json
import re

import duckdb
import sqlglot
from ministack.services import athena, glue
from ministack.services.cloudformation import provisioners

MACROS = """
SET TimeZone = 'UTC';
CREATE MACRO at_timezone(moment, zone) AS timezone(zone, moment);
CREATE MACRO with_timezone(moment, zone) AS timezone(zone, moment);
CREATE MACRO is_finite(number) AS isfinite(number);
"""

connect = duckdb.connect


def connect_as_athena(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.execute(MACROS)
    return connection


duckdb.connect = connect_as_athena


def view_of(database, table):
    """The query of a view in the catalog; None if the name is not a view."""
    found = glue._tables.get(f"{database}/{table}") or {}
    if found.get("TableType") != "VIRTUAL_VIEW":
        return None
    encoded = re.fullmatch(r"/\* Presto View: (\S+) \*/", found["ViewOriginalText"]).group(1)
    view = json.loads(base64.b64decode(encoded))
    assert view["schema"] == database
    # Athena reads the columns of the view, and the console those of the catalog.
    assert [column["name"] for column in view["columns"]] == [
        column["Name"] for column in found["StorageDescriptor"]["Columns"]
    ]
    return expand_views(sqlglot.parse_one(view["originalSql"], read="athena"), database)


def expand_views(tree, database):
    own = {expression.alias for expression in tree.find_all(sqlglot.exp.CTE)}
    for table in list(tree.find_all(sqlglot.exp.Table)):
        if table.name not in own and (view := view_of(table.db or database, table.name)):
            table.replace(view.subquery(table.alias or table.name))
    return tree


def translate(query, database):
    return expand_views(sqlglot.parse_one(query, read="athena"), database).sql(dialect="duckdb")


rewrite_data_paths = athena._rewrite_data_paths


async def translate_and_rewrite(query, database, catalog=None):
    return await rewrite_data_paths(translate(query, database), database, catalog)


athena._rewrite_data_paths = translate_and_rewrite

table_relation, empty_relation = athena._table_relation, athena._empty_relation


def columns_of(table):
    return (table.get("StorageDescriptor") or {}).get("Columns") or []


def table_relation_of_athena(table, files):
    relation = table_relation(table, files)
    if athena._data_format(table) == "csv":
        relation = relation.replace("(SELECT ", '(SELECT filename AS "$path", ', 1)
        return relation.replace("null_padding = true,", "null_padding = true, filename = true,")
    times = [column["Name"] for column in columns_of(table) if column["Type"] == "timestamp"]
    if not times:
        return relation
    casts = ", ".join(f'CAST("{name}" AS TIMESTAMP) AS "{name}"' for name in times)
    return f"(SELECT * REPLACE ({casts}) FROM {relation})"


def empty_relation_of_athena(table):
    maps = [column["Name"] for column in columns_of(table) if column["Type"] == "map<string,double>"]
    relation = empty_relation(table)
    casts = ", ".join(f'CAST(NULL AS MAP(VARCHAR, DOUBLE)) AS "{name}"' for name in maps)
    replaced = f" REPLACE ({casts})" if maps else ""
    return f"(SELECT *{replaced}, CAST(NULL AS VARCHAR) AS \"$path\" FROM {relation})"


athena._table_relation, athena._empty_relation = table_relation_of_athena, empty_relation_of_athena


def create_named_query(logical_id, props, stack_name):
    _, _, body = athena._create_named_query(props)
    return json.loads(body)["NamedQueryId"], {}


def update_named_query(physical_id, old_props, new_props, stack_name, logical_id=None):
    athena._named_queries[physical_id].update(new_props)
    return physical_id, {}


provisioners._RESOURCE_HANDLERS["AWS::Athena::NamedQuery"] = {
    "create": create_named_query,
    "update": update_named_query,
    "update_with_logical_id": True,
    "delete": lambda physical_id, props: athena._delete_named_query({"NamedQueryId": physical_id}),
}
