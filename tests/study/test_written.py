"""The page shows the models' texts."""

from __future__ import annotations

from pathlib import Path

from augury.evaluate import pass_until
from augury.study.page.story import story_of
from augury.study.page.written import ALL, EACH, LONGEST, written_sections
from tests.evaluate.table_model import TableModel
from tests.evaluate.test_passuntil import words


def test_the_first_samples_of_each_verdict_are_shown(tmp_path: Path) -> None:
    assert written_sections(tmp_path) == []
    for size in (81.0, 162.0):
        model = TableModel()
        model.about = {"model": f"table-{size:.0f}", "params": size}
        pass_until(model, words(), study=tmp_path, max_samples=5_000, method="tree")
    (section,) = written_sections(tmp_path)
    (table,) = section.tables
    count = table.data.group_by("model", "verdict").len()
    assert count["len"].to_list() == [EACH] * 4
    assert table.data.height <= ALL
    assert table.data["text"].str.len_chars().max() <= LONGEST + 4  # type: ignore[operator]
    assert story_of(tmp_path).sections[-1].heading == section.heading
