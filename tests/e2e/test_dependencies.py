"""The function contains no crate that only the command needs, by the dependency tree of its features."""

import subprocess
import tomllib

import pytest
from deployed import BUILD, ROOT

MANIFEST = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))

# Dependencies of the command that the AWS SDK also brings into the function.
BROUGHT_BY_THE_SDK = {"getrandom", "hyper", "hyper-util", "tower-service"}


def function_tree(*arguments):
    """The names of the crates in the function."""
    command = [
        "cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}",
        "--package", "smartclean-push", "--features", "function", *arguments,
    ]  # fmt: skip
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8").stdout.splitlines()
    return {line.split()[0] for line in lines if line}


def optional_crates(feature):
    """The optional crates that a feature of this package enables directly."""
    return {entry.removeprefix("dep:") for entry in MANIFEST["features"][feature] if entry.startswith("dep:")}


def test_function_is_built_with_its_own_features_only():
    build = tomllib.loads((ROOT / "CargoLambda.toml").read_text(encoding="utf-8"))["build"]
    assert build["features"] == ["function"]
    assert "default" not in MANIFEST["features"]


def test_function_contains_no_crate_of_the_command():
    command = tomllib.loads((ROOT / "crates/command/Cargo.toml").read_text(encoding="utf-8"))
    of_the_receiver = {name for name, value in MANIFEST["dependencies"].items() if "optional" not in dict(value if isinstance(value, dict) else {})}
    of_the_command = set(command["dependencies"]) | optional_crates("local")
    of_the_command -= of_the_receiver | optional_crates("function") | optional_crates("aws") | {"smartclean-push"}
    assert {"clap", "lettre", "rusqlite", "ureq"} <= of_the_command
    assert function_tree() & of_the_command == BROUGHT_BY_THE_SDK & of_the_command
    # The package itself does not enable them for the function.
    assert function_tree("--depth", "1") & of_the_command == set()


def test_only_the_compaction_function_contains_parquet():
    assert optional_crates("lake") == {"history", "rayon"}
    assert function_tree() & {"smartclean-history", "parquet", "rayon"} == set()
    own = tomllib.loads((ROOT / "src/bin/compact-function/Cargo.toml").read_text(encoding="utf-8"))
    assert set(own["dependencies"]["smartclean-push"]["features"]) == {"function", "lake"}


def test_only_the_push_function_contains_the_client_of_firehose():
    binaries = {name: (BUILD / f"{name}Function" / "bootstrap").read_bytes() for name in ("Push", "Board", "Compact")}
    assert [name for name, binary in binaries.items() if b"Firehose_20150804" in binary] == ["Push"]


@pytest.mark.nightly
def test_released_push_function_contains_no_parquet_code():
    binaries = {name: (BUILD / name / "bootstrap").read_bytes() for name in ("PushFunction", "CompactFunction")}
    assert {name: b"parquet.thrift" in binary or b"PAR1" in binary for name, binary in binaries.items()} == {
        "PushFunction": False,
        "CompactFunction": True,
    }


def test_sbom_lists_exactly_the_crates_of_each_program():
    subprocess.run(["make", "--silent", "sbom"], cwd=ROOT, check=True, capture_output=True)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "target/sbom").glob("*.txt")}
    assert not any(str(ROOT) in text for text in texts.values())
    crates = {program: {line.split()[0] for line in text.splitlines()} for program, text in texts.items()}
    assert crates["push-function"] == function_tree("--target", "aarch64-unknown-linux-gnu", "--edges", "normal,no-proc-macro")
    assert "parquet" in crates["compact-function"] - crates["push-function"]
    assert {"clap", "rusqlite", "aws-sdk-s3"} <= crates["smartclean-push"] and "lambda_runtime" not in crates["smartclean-push"]
