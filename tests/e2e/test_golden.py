"""The templates after the transform of SAM, compared with tests/golden (`make goldens`)."""

import difflib
import json
import os
from types import SimpleNamespace

import pytest
import yaml
from deployed import ROOT
from local_aws import REGION
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

# The number of lines of the difference to print.
SHOWN = 20


def transformed(text):
    """A template after the transform of SAM, as sorted YAML. The location of the code is the same for every build."""
    template = SamTemplateValidator(yaml_parse(text), SimpleNamespace(load=dict), region=REGION).get_translated_template_if_valid()
    # Through JSON, because SAM uses types that YAML cannot represent.
    plain = json.loads(json.dumps(yaml_parse(template)))
    return yaml.safe_dump(plain, sort_keys=True, allow_unicode=True, width=120)


@pytest.mark.parametrize("name", ["template.yaml", "lake.yaml"])
def test_transformed_template_is_unchanged(name, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    golden, text = ROOT / "tests/golden" / name, transformed((ROOT / name).read_text(encoding="utf-8"))
    if os.environ.get("GOLDENS") == "record":
        golden.write_text(text, encoding="utf-8")
    before = golden.read_text(encoding="utf-8").splitlines()
    lines = difflib.unified_diff(before, text.splitlines(), f"tests/golden/{name}", f"transformed {name}", n=2, lineterm="")
    if shown := list(lines)[:SHOWN]:
        shown.append("If the change is wanted: run `make goldens RECORD=yes`, review `git diff tests`, and commit the goldens by themselves.")
        pytest.fail("\n".join(shown), pytrace=False)
