# SPDX-License-Identifier: Apache-2.0
"""The limit of pixels: by argument, option and environment, in every command and call."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pybit
import pytest
from image_files import chunk, encoded, picture
from PIL import Image
from pybit import cli
from pybit.data import preprocess, read_image, read_image_info
from small_models import small_model

WAYS = ("max_pixels=2280 in Python", "--max-pixels 2280 on the command line", "BIT_MAX_PIXELS=2280 in the environment")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF"])
def test_the_limit_is_raised_by_argument_and_environment_and_the_error_says_so(kind, tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(encoded(picture(), kind))
    with pytest.raises(pybit.FormatError, match="57 x 40 pixels") as raised:
        read_image(path, max_pixels=2279)
    assert all(way in str(raised.value) for way in (*WAYS, str(path), "limit of 2279 pixels"))
    assert read_image(path, max_pixels=2280).shape == (40, 57, 3)
    monkeypatch.setenv("BIT_MAX_PIXELS", "2279")
    for call in (read_image, read_image_info, lambda p: preprocess([p], 8), lambda p: read_image(p.read_bytes())):
        with pytest.raises(pybit.FormatError, match="limit of 2279 pixels"):
            call(path)
    assert read_image(path, max_pixels=2280).shape == (40, 57, 3)
    assert preprocess([path], 8, max_pixels=2280).shape == (1, 3, 8, 8)
    assert read_image_info(path, max_pixels=2280).width == 57
    monkeypatch.setenv("BIT_MAX_PIXELS", "2280")
    assert read_image(path).shape == (40, 57, 3)


def test_a_huge_drawing_of_one_bit_is_refused_with_the_way_to_read_it(tmp_path):
    rows = zlib.compress(bytes(2501 * 10000), 1)
    header = struct.pack(">IIBBBBB", 20000, 10000, 1, 0, 0, 0, 0)
    path = tmp_path / "huge.png"
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(pybit.FormatError, match=r"20000 x 10000 pixels .* max_pixels=200000000 in Python"):
        read_image(path)
    assert read_image_info(path, max_pixels=200_000_000) == ("PNG", 10000, 20000, 1)


def test_every_limit_that_is_none_is_refused(monkeypatch):
    for wrong in (0, -1, 1.5, "9"):
        with pytest.raises(pybit.ConfigError, match="max_pixels as a whole number of at least 1"):
            read_image(encoded(picture(), "JPEG"), max_pixels=wrong)
    monkeypatch.setenv("BIT_MAX_PIXELS", "many")
    with pytest.raises(pybit.ConfigError, match="BIT_MAX_PIXELS as a whole number of at least 1, got 'many'"):
        read_image(encoded(picture(), "JPEG"))


def test_pillows_own_limit_does_not_stand_in_the_way(monkeypatch):
    """Pillow refuses above twice its limit and warns above it, in every file of the process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encoded(picture(), "TIFF")
    assert read_image(data).shape == (40, 57, 3)
    with pytest.raises(Image.DecompressionBombError):  # the control
        Image.open(io.BytesIO(data))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "m.safetensors"
    model = small_model(2)
    model.labels = ("cat", "dog")
    model.save(path)
    return str(path)


COMMANDS = {
    "predict": lambda data, weights, out: ["predict", data, "--model", weights, "--size", "32"],
    "embed": lambda data, weights, out: ["embed", data, "--model", weights, "--size", "32", "-o", f"{out}/f.npz"],
    "probe": lambda data, weights, out: ["probe", data, "--model", weights, "--size", "32", "--shots", "1"],
    "eval": lambda data, weights, out: ["eval", weights, data, "--size", "32"],
    "train": lambda data, weights, out: [
        *("train", "--model", weights, "--data", data, "--logdir", out, "--name", "run", "--steps", "1"),
        *("--batch", "4", "--resize", "32", "--crop", "32", "--no-save", "--quiet"),
    ],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_the_limit_is_an_option_of_every_command(command, suffix, weights, tmp_path, monkeypatch, capsys):
    for name in ("cat", "dog"):
        for i in range(4):
            path = tmp_path / "ds" / name / f"{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(seed=i).save(path)
    arguments = COMMANDS[command](str(tmp_path / "ds"), weights, str(tmp_path))
    monkeypatch.setenv("BIT_MAX_PIXELS", "2279")
    assert cli.main(arguments) != 0
    error = capsys.readouterr().err
    assert "limit of 2279 pixels" in error
    assert "--max-pixels 2280 on the command line" in error
    assert cli.main([*arguments, "--max-pixels", "2280"]) == 0


def test_the_limit_is_an_argument_of_data_sets(tmp_path):
    files = []
    for i in range(4):
        files.append(tmp_path / ("a.jpg", "b.tif", "c.gif", "d.png")[i])
        picture(seed=i).save(files[-1])
    (tmp_path / "list.csv").write_text("".join(f"{f.name},{i % 2}\n" for i, f in enumerate(files)))
    encoded_files = [f.read_bytes() for f in files]
    for source in ((files, [0, 1, 0, 1]), (encoded_files, [0, 1, 0, 1]), tmp_path / "list.csv"):
        for i in range(4):
            small = pybit.datasets.open(source, validation_fraction=0, max_pixels=2279).train
            with pytest.raises(pybit.FormatError, match="limit of 2279 pixels"):
                small[i]
            large = pybit.datasets.open(source, validation_fraction=0, max_pixels=2280).train
            np.testing.assert_array_equal(large[i][0], read_image(files[i]))
