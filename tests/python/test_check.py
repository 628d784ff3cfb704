# SPDX-License-Identifier: Apache-2.0
"""pybit check: what it finds, what it leaves alone, what it writes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from PIL import Image
from pybit.cli import main
from pybit.quality.duplicates import groups_of
from pybit.quality.page import png

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_figures


def picture(seed: int, h: int = 96, w: int = 128) -> Image.Image:
    """A smooth coloured picture that is like no other one."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((w, h), Image.Resampling.BICUBIC)


def folder(root: Path, each: int = 12) -> Path:
    """Two classes of pictures: one is bright, one dark."""
    for c, name in enumerate(("bright", "dark")):
        (root / name).mkdir(parents=True)
        for i in range(each):
            values = np.asarray(picture(100 * c + i)).astype(np.float32) / 2 + (127 if c == 0 else 0)
            Image.fromarray(values.astype(np.uint8)).save(root / name / f"{i:02}.png")
    return root


def kinds(found: Any) -> set[str]:
    return set(found.counts)


def test_a_sound_collection_has_no_findings(tmp_path: Path) -> None:
    found = pybit.check(folder(tmp_path))
    assert found.ok
    assert not found.findings
    assert found.classes == {"bright": 12, "dark": 12}
    assert "nothing found" in repr(found)


def test_damage_is_found_with_its_reason_and_stops_nothing(tmp_path: Path) -> None:
    root = folder(tmp_path)
    picture(1).save(root / "dark" / "whole.jpg")
    data = (root / "dark" / "whole.jpg").read_bytes()
    (root / "dark" / "cut.jpg").write_bytes(data[: len(data) // 2])
    (root / "dark" / "empty.png").write_bytes(b"")
    (root / "bright" / "text.jpg").write_text("no image")
    found = pybit.check(root)
    texts = {Path(f.paths[0]).name: f.text for f in found.of("damaged")}
    assert set(texts) == {"cut.jpg", "empty.png", "text.jpg"}
    assert "truncated" in texts["cut.jpg"]
    assert not found.ok
    assert found.images == 28


def test_a_folder_of_broken_files_only(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.jpg").write_bytes(b"\xff\xd8broken")
    assert len(pybit.check(tmp_path).of("damaged")) == 6


def test_duplicates_across_classes_and_splits_are_told_as_such(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    for name in ("bright", "dark"):
        (tmp_path / "val" / name).mkdir(parents=True)
        picture(500 + len(name)).save(tmp_path / "val" / name / "own.png")
    shutil.copy(tmp_path / "train/dark/00.png", tmp_path / "val/dark/same.png")
    Image.open(tmp_path / "train/dark/01.png").save(tmp_path / "train/bright/other.bmp")
    Image.open(tmp_path / "train/bright/02.png").save(tmp_path / "val/bright/again.jpg", quality=60)
    found = pybit.check(tmp_path, labels=False)
    exact = {f.text for f in found.of("exact_duplicates")}
    assert exact == {"2 times the same file", "2 times the same pixels in different files"}
    assert [f.text for f in found.of("label_conflict")] == ["the same pixels in different files in bright and dark"]
    leaks = sorted(f.text for f in found.of("leakage"))
    assert leaks == ["nearly the same picture in train and validation", "the same file in train and validation"]
    assert len(found.of("near_duplicates")) == 1
    assert found.of("near_duplicates")[0].score == pytest.approx(1, abs=0.02)  # JPEG of quality 60


def test_thousands_of_one_file_are_one_group(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    picture(1).save(tmp_path / "a" / "0.png")
    for i in range(1, 300):
        os.link(tmp_path / "a" / "0.png", tmp_path / "a" / f"{i}.png")
    found = pybit.check(tmp_path)
    groups = found.of("exact_duplicates")
    assert [len(f.paths) for f in groups] == [300] or not groups  # links of one file may be told as left out
    assert len(found.findings) < 400


def test_ways_of_storing_and_sizes_are_notes_and_warnings(tmp_path: Path) -> None:
    root = folder(tmp_path)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(1).save(root / "dark" / "turned.jpg", exif=turned)
    picture(2).convert("CMYK").save(root / "dark" / "print.jpg")
    picture(3).convert("L").save(root / "dark" / "grey.png")
    Image.fromarray(np.arange(96 * 128, dtype=np.uint16).reshape(96, 128) * 5).save(root / "dark" / "deep.png")
    Image.new("RGB", (128, 96), (1, 2, 3)).save(root / "dark" / "plain.png")
    picture(4, 20, 400).save(root / "dark" / "wide.png")
    picture(5, 960, 1280).save(root / "dark" / "large.png")
    picture(6).save(root / "dark" / "moving.gif", save_all=True, append_images=[picture(7)])
    found = pybit.check(root, labels=False)
    names = {f.kind: sorted(Path(p).name for g in found.of(f.kind) for p in g.paths) for f in found.findings}
    assert names["turned"] == ["turned.jpg"]
    assert names["cmyk"] == ["print.jpg"]
    assert names["deep"] == ["deep.png"]
    assert names["plain"] == ["plain.png"]
    assert names["odd_size"] == ["large.png", "wide.png"]
    assert names["animated"] == ["moving.gif"]
    assert names["grey"] == ["deep.png", "grey.png"]


def test_classes_with_few_images_none_and_of_very_different_sizes(tmp_path: Path) -> None:
    root = folder(tmp_path, each=40)
    (root / "rare").mkdir()
    picture(900).save(root / "rare" / "only.png")
    (root / "none").mkdir()
    found = pybit.check(root, labels=False)
    assert [f.text for f in found.of("small_class")] == ["rare has 1 image"]
    assert [f.text for f in found.of("empty_class")] == ["none has no images"]
    assert [f.text for f in found.of("imbalance")] == ["bright has 40 images and rare 1"]


def test_a_wrong_label_is_the_most_suspicious(tmp_path: Path) -> None:
    root = folder(tmp_path, each=40)
    assert not pybit.check(root).of("suspicious_label")  # the negative control
    shutil.move(root / "bright" / "07.png", root / "dark" / "moved.png")
    suspects = pybit.check(root).of("suspicious_label")
    assert Path(suspects[0].paths[0]).name == "moved.png"
    assert suspects[0].text == "labelled dark, more like bright"


def test_labels_that_nothing_tells_apart_are_not_judged(tmp_path: Path) -> None:
    for c in ("a", "b", "c"):
        (tmp_path / c).mkdir()
        for i in range(30):
            picture(1000 + 31 * ord(c) + i).save(tmp_path / c / f"{i}.png")
    found = pybit.check(tmp_path)
    assert not found.of("suspicious_label")
    assert "thumbnails tell the class of" in found.of("not_judged")[0].text


def test_labels_by_the_features_of_a_model(tmp_path: Path) -> None:
    root = folder(tmp_path)
    model = pybit.create_model("small", units=(1, 1, 1, 1), stem_channels=32, num_classes=2, seed=1)
    model.preprocessing = pybit.PreprocessSpec(48)
    assert pybit.check(root, model=model).features == "small"


def test_lists_and_flat_folders(tmp_path: Path) -> None:
    root = folder(tmp_path / "images", each=3)
    rows = [f"images/{c}/{i:02}.png,{c}" for c in ("bright", "dark") for i in range(3)]
    (tmp_path / "list.csv").write_text("path,label\n" + "\n".join(rows))
    found = pybit.check(tmp_path / "list.csv")
    assert (found.images, found.classes) == (6, {"bright": 3, "dark": 3})
    table = (tmp_path / "list.csv").read_text().replace("path,label", "picture;kind").replace(",", ";")
    (tmp_path / "odd.csv").write_text(table)
    odd = pybit.check(tmp_path / "odd.csv", path_column="picture", label_column="kind", separator=";")
    assert odd.classes == found.classes
    options = ["--path-column", "picture", "--label-column", "kind", "--separator", ";"]
    assert main(["check", str(tmp_path / "odd.csv"), *options, "--no-labels"]) == 1  # three images are few
    flat = pybit.check(root / "dark")
    assert (flat.images, flat.classes) == (3, {})
    with pytest.raises(pybit.ConfigError, match="a folder of images or a list"):
        pybit.check(tmp_path / "nothing")


def test_the_command_prints_writes_and_says_by_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "photos <b>")
    assert main(["check", str(root)]) == 0
    assert "nothing found" in capsys.readouterr().out
    (root / "dark" / "cut.png").write_bytes((root / "dark" / "00.png").read_bytes()[:99])
    shutil.copy(root / "dark" / "01.png", root / "dark" / "copy.png")
    html, table = tmp_path / "page.html", tmp_path / "table.csv"
    assert main(["check", str(root), "--html", str(html), "--csv", str(table), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["counts"] == {"damaged": 1, "exact_duplicates": 1}
    with open(table, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["kind"], Path(r["path"]).name, r["class"]) for r in rows] == [
        ("damaged", "cut.png", "dark"),
        ("exact_duplicates", "01.png", "dark"),
        ("exact_duplicates", "copy.png", "dark"),
    ]
    page = html.read_text(encoding="utf-8")
    assert "photos &lt;b&gt;" in page
    assert "photos <b>" not in page  # names are escaped
    assert page.count("data:image/png;base64,") == 2
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="', "")
    assert main(["check", str(tmp_path / "nothing")]) == 2


def test_training_can_decode_everything_before_its_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "photos")
    (root / "dark" / "cut.png").write_bytes((root / "dark" / "00.png").read_bytes()[:99])
    model = tmp_path / "small.safetensors"
    pybit.create_model("small", units=(1, 1, 1, 1), stem_channels=32, num_classes=2, seed=1).save(model)
    run = ["train", "--name", "a", "--logdir", str(tmp_path), "--model", str(model), "--data", str(root), "--check"]
    run += ["--batch", "4", "--steps", "1", "--resize", "40", "--crop", "32", "--quiet"]
    assert main(run) == 1
    said = capsys.readouterr().err
    assert said.count("cut.png") == 1
    assert "1 of 25 images cannot be read; --skip_corrupt leaves them out" in said
    assert not (tmp_path / "a").exists()
    assert main([*run, "--skip_corrupt"]) == 0


def test_thumbnails_are_sound_png_files() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    assert np.array_equal(pybit.data.read_image(png(pixels)), pixels)


def test_pairs_that_meet_are_one_group() -> None:
    assert groups_of(6, [(0, 3), (4, 3), (1, 2)]) == [[0, 3, 4], [1, 2]]
    assert groups_of(3, []) == []


def test_the_figures_of_the_documentation_hold_on_a_part_of_the_photographs() -> None:
    found, pairs, wrong, _ = check_figures.duplicates(faces=0)
    assert min(found.values()) >= 0.9, found  # 93.2 % of the crops
    assert wrong <= 0.01 * pairs
    assert check_figures.flipped_labels() >= 0.7  # 98 % there
