"""Training logs: TensorBoard files checked bit by bit, W&B exports, missing values."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.data.readers import read_results
from augury.data.readers.tensorboard import crc, read_scalars
from augury.errors import DataError
from tests.data.readers.kept import FIXTURES, fixture


def test_checksum_of_the_standard() -> None:
    """RFC 3720, B.4: 32 bytes of zeros, of ones, and rising; unmasked."""
    for data, expected in (
        (np.zeros(32), 0x8A9136AA),
        (np.full(32, 255), 0x62A8AB43),
        (np.arange(32), 0x46DD794E),
    ):
        masked = int(crc(data.astype(np.uint8)[None])[0])
        turned = (masked - 0xA282EAD8) % 2**32
        assert (turned >> 17 | turned << 15) % 2**32 == expected


def test_tensorboard() -> None:
    """Both ways of writing a scalar, tokens next to the loss, and the final NaN left out."""
    found = read_results("loss", FIXTURES / "loss" / "tiny-3m")
    table = found.table
    for name, floor in (("train/loss", 1.0), ("eval/loss", 1.1)):
        own = table.filter(loss_set=name).sort("step")
        assert own["step"].to_list() == list(range(0, 200, 10))
        expected = [5 * math.exp(-i / 10) + floor for i in range(20)]
        assert own["loss"].to_list() == pytest.approx(expected, rel=1e-6)
        assert own["tokens"].to_list() == [s * 2048 for s in range(0, 200, 10)]
    assert found.notes[0].endswith("1 losses are NaN, infinite or missing")
    assert set(table["params"]) == {3e6}
    assert table["flops"].to_list() == pytest.approx((6 * 3e6 * table["tokens"]).to_list())


def test_tensorboard_cut_off_or_broken_anywhere(tmp_path: Path) -> None:
    """A torn end costs one record and is reported; every flipped bit is noticed."""
    data = fixture("loss", "*tfevents*").read_bytes()
    whole, cut = read_scalars(data, "x")
    assert cut is None
    ends = [0]
    while ends[-1] < len(data):
        ends.append(ends[-1] + 16 + struct.unpack_from("<Q", data, ends[-1])[0])
    rng = np.random.default_rng(0)
    for place in rng.choice(len(data), 60, replace=False):
        kept = sum(e <= place for e in ends) - 1  # whole records
        if kept == 0:
            with pytest.raises(DataError, match=r"^x: is cut off in its first record"):
                read_scalars(data[:place], "x")
            continue
        found, cut = read_scalars(data[:place], "x")
        assert repr(found) == repr(whole[: len(found)])  # a NaN is not equal to itself
        assert len(found) == len(read_scalars(data[: ends[kept]], "x")[0])
        assert cut == (None if int(place) in ends else kept + 1)
    for place in rng.choice(len(data), 60, replace=False):
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(DataError, match=r"^x: record .*checksum"):
            read_scalars(bytes(broken), "x")
    # Space reserved for more records is not a record.
    found, cut = read_scalars(data + bytes(100), "x")
    assert (repr(found), cut) == (repr(whole), len(ends))


def test_wandb_exports() -> None:
    chart = read_results("loss", FIXTURES / "loss" / "wandb" / "chart.csv").table
    assert set(chart.select("model", "params", "step", "loss", "loss_set").rows()) == {
        ("tiny-3m", 3e6, 0, 10.5, "train/loss"),
        ("tiny-3m", 3e6, 10, 4.25, "train/loss"),
        ("tiny-7m", 7e6, 10, 4.0, "train/loss"),
        ("tiny-7m", 7e6, 20, 3.5, "train/loss"),
    }
    history = read_results("loss", FIXTURES / "loss" / "wandb" / "tiny-9m").table
    assert set(history.select("step", "tokens", "loss", "loss_set").rows()) == {
        (0, 0.0, 10.5, "train/loss"),
        (20, 40960.0, 4.5, "train/loss"),
        (20, 40960.0, 4.75, "eval/loss"),
    }


def test_a_carriage_return_inside_a_line_is_no_traceback(tmp_path: Path) -> None:
    """Whatever a byte too many does to a header: an answer, or one error that names the file."""
    text = (FIXTURES / "loss" / "wandb" / "chart.csv").read_text()
    for at in (0, 3, len(text.partition("\n")[0]), len(text) - 3):
        path = tmp_path / "chart.csv"
        path.write_bytes((text[:at] + "\r" + text[at:]).encode())
        try:
            told = f"chart.csv: {read_results('loss', path).table.height} rows"
        except DataError as error:
            told = str(error)
        assert "chart.csv" in told


def test_tokens_by_step_from_the_models_table(tmp_path: Path) -> None:
    models = tmp_path / "models.csv"
    models.write_text("model,tokens_per_step,params\ntiny-3m,1000,3.1e6\ntiny-7m,2000,7.2e6\n")
    path = FIXTURES / "loss" / "wandb" / "chart.csv"
    table = read_results("loss", path, models=models).table
    assert set(table.select("model", "step", "tokens", "params").rows()) == {
        ("tiny-3m", 0, 0.0, 3.1e6),
        ("tiny-3m", 10, 1e4, 3.1e6),
        ("tiny-7m", 10, 2e4, 7.2e6),
        ("tiny-7m", 20, 4e4, 7.2e6),
    }
    assert "tokens_per_step" not in table.columns


def test_later_lines_hold_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    lines = ['{"step": 1, "loss": 3.0}', '{"step": 2, "loss": 2.5}', '{"step": 2, "loss": 2.4}']
    path.write_text("\n".join(lines))
    table = read_results("loss", path).table
    assert table.select("step", "loss").rows() == [(1, 3.0), (2, 2.4)]
    assert isinstance(table, pl.DataFrame)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "step,loss\n1.5,2.5\n", "row 1, column 'step': is not a step"),
        ("a.csv", "step,loss\n1,-2.5\n", "loss: a loss that is not positive"),
        ("a.csv", "epoch,loss\n1,2.5\n", "no column of steps"),
        ("a.csv", "step,acc\n1,2.5\n", "no losses"),
        ("a.csv", "step,loss\n1,1e999\n", "loss: is not a number"),
        ("a.jsonl", '{"step": 1, "loss": 2\n{"step": 2, "loss": 2}', "line 1, character"),
        ("a.jsonl", '{"step": 1, "loss": 2, "loss": 3}\n', "line 1: duplicate key 'loss'"),
        ("a.jsonl", '{"step": true, "loss": 2}\n', "line 1: 'step': is not a step"),
    ],
)
def test_wrong_logs(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_results("loss", path)
