"""What docs/nurture.md shows can be written so."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.helpers.config_files import SOUND, loaded

PAGE = (Path(__file__).parents[2] / "docs" / "nurture.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
FIELDS = """\
  competitor_named: {hubspot: competitor_named, type: boolean}
  agreed: {hubspot: agreed, type: boolean}
  agreed_on: {hubspot: agreed_on, type: date}
  no_profiling: {hubspot: no_profiling, type: boolean}
"""


@pytest.mark.parametrize("block", BLOCKS, ids=[block.split(":")[0] for block in BLOCKS])
def test_every_example_of_the_page_loads(block: str) -> None:
    catalogue = "" if "catalogue:" in block else "catalogue: {basics: {title: The basics, type: guide}}\n"
    keys = YAML(typ="safe").load(block)
    rest = "\n".join(part for part in re.split(r"\n(?=\S)", SOUND) if part.split(":")[0] not in keys and part.strip())
    text = f"{rest}\n{catalogue}{block}".replace("fields:\n", f"fields:\n{FIELDS}", 1)
    assert loaded(text)


def test_the_page_shows_something() -> None:
    assert len(BLOCKS) == 6
