# SPDX-License-Identifier: Apache-2.0
"""What calls take for images and for labels: streams, files, uploads, dicts, columns, ragged lists."""

from __future__ import annotations

import gc
import io
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from input_images import SPEC, Column, noise, png
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from pybit import datasets
from pybit.data import iterate_batches, preprocess, read_image
from pybit.data.inputs import ACCEPTED
from pybit.errors import ConfigError, FormatError


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    made = pybit.create_model("small", units=(1, 1, 1, 1), stem_channels=32, num_classes=3, head="new")
    made.preprocessing = SPEC
    return made


def one_buffer(count: int) -> Iterator[NDArray[np.uint8]]:
    """Frames as cameras and videos give them: one array that is filled again and again."""
    frame = np.empty((20, 30, 3), np.uint8)
    for i in range(count):
        frame[...] = noise(i)
        yield frame


# ---- streams
@pytest.mark.parametrize("count", [1, 5, 70])
def test_frames_of_a_buffer_that_is_used_again_are_all_different(model: pybit.Model, count: int) -> None:
    expected = preprocess([noise(i) for i in range(count)], 16)
    np.testing.assert_array_equal(preprocess(one_buffer(count), 16), expected)
    batches = list(iterate_batches(one_buffer(count), SPEC, 4))
    np.testing.assert_array_equal(np.concatenate([b.images for b in batches]), expected)
    assert [i for b in batches for i in b.indices] == list(range(count))
    probabilities = [p.probabilities for p in model.predict(one_buffer(count), topk=3, batch_size=8)]
    assert probabilities == [p.probabilities for p in model.predict([noise(i) for i in range(count)], 3, batch_size=8)]
    # The negative control: a list of the same array is what it says, the last frame each time.
    last = preprocess(list(one_buffer(count)), 16)
    np.testing.assert_array_equal(last, np.repeat(expected[-1:], count, axis=0))
    assert count == 1 or not np.array_equal(last, expected)


def test_frames_of_float_and_grey_buffers_are_copied_too() -> None:
    def frames(dtype: Any, shape: tuple[int, ...]) -> Iterator[Any]:
        frame = np.empty(shape, dtype)
        for value in (0, 1):
            frame[...] = value
            yield frame

    for dtype, shape in ((np.float32, (4, 5, 3)), (np.float64, (4, 5)), (np.uint8, (4, 5)), (np.uint8, (2, 4, 5, 3))):
        found = preprocess(frames(dtype, shape), 4)
        assert not np.array_equal(found[0], found[-1])


def test_the_frames_of_an_animated_file_are_all_different(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(i)) for i in range(4)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "moving.gif") as gif:
        expected = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]
        np.testing.assert_array_equal(preprocess(ImageSequence.Iterator(gif), 16), preprocess(expected, 16))
    assert not np.array_equal(expected[0], expected[3])


def test_a_stream_is_asked_for_a_few_batches_at_a_time() -> None:
    drawn = 0

    def counted() -> Iterator[NDArray[np.uint8]]:
        nonlocal drawn
        for frame in one_buffer(100):
            drawn += 1
            yield frame

    batches = iterate_batches(counted(), SPEC, 4, threads=2)
    assert drawn == 0
    next(batches)
    assert drawn == 4 + 2 * 4
    next(batches)
    assert drawn == 8 + 2 * 4
    batches.close()
    assert drawn == 16


def test_ten_thousand_frames_need_the_memory_of_a_few_batches(model: pybit.Model) -> None:
    def frames(count: int) -> Iterator[NDArray[np.uint8]]:
        frame = np.zeros((64, 64, 3), np.uint8)
        for i in range(count):
            frame[0, 0] = i % 256
            yield frame

    def peak(make: Callable[[], Any]) -> int:
        gc.collect()
        tracemalloc.start()
        for _ in iterate_batches(make(), SPEC, 32, threads=2):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    each = 64 * 64 * 3
    # Three batches of pixels and of network input are 1.5 MB; the bookkeeping of 32 images is far below the rest.
    bound = 300 * each
    assert peak(lambda: frames(10_000)) < bound
    assert peak(lambda: list(map(np.copy, frames(1_000)))) > bound  # the control keeps its frames


def test_an_error_of_the_stream_comes_after_what_it_gave_before() -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield from one_buffer(6)
        raise OSError("the camera is gone")

    batches = iterate_batches(broken(), SPEC, 4, skip_corrupt=True)
    assert [len(next(batches).indices), len(next(batches).indices)] == [4, 2]
    with pytest.raises(OSError, match="the camera is gone"):
        next(batches)
    with pytest.raises(ConfigError, match="got int"):
        preprocess(iter([noise(1), 5]), 16)


def test_objects_that_can_only_be_indexed_are_walked() -> None:
    class Indexed:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> NDArray[np.uint8]:
            if i >= 3:
                raise IndexError
            return noise(i)

    np.testing.assert_array_equal(preprocess(Indexed(), 16), preprocess([noise(i) for i in range(3)], 16))


def test_a_stream_of_paths_has_paths_and_images_in_memory_have_none(model: pybit.Model, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        path.write_bytes(png(i))
    found = model.embed(iter(paths))
    assert found.paths == tuple(map(str, paths))
    assert [p.path for p in model.predict(iter(paths))] == list(map(str, paths))
    assert isinstance(model.embed(one_buffer(2)), np.ndarray)
    with pytest.warns(UserWarning, match="2 of 2 images were left out"):
        assert model.embed([b"no image"] * 2, skip_corrupt=True).shape == (0, 1024)
    with pytest.warns(UserWarning, match="1 of 1 images were left out"):
        nothing = model.embed([tmp_path / "nowhere.png"], skip_corrupt=True)
    assert nothing.paths == () and len(nothing.skipped) == 1


# ---- files and what looks like them
class Upload:
    """As web frameworks hand out: read() and a name, nothing else."""

    filename = "photo.png"

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


class BackgroundUpload:
    """As frameworks that run on an event loop: read() must be awaited, the file itself is `.file`."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    async def read(self) -> bytes:
        return self.file.read()


def test_opened_files_and_uploads_are_read_like_paths(model: pybit.Model, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.png")
    expected = preprocess(path, 16)
    with (
        path.open("rb") as buffered,
        path.open("rb", buffering=0) as raw,
        zipfile.ZipFile(tmp_path / "a.zip") as archive,
        tempfile.SpooledTemporaryFile() as spooled,
    ):
        spooled.write(png(1))  # and not rewound
        files = [buffered, raw, io.BytesIO(png(1)), Upload(png(1)), BackgroundUpload(png(1)), spooled]
        with archive.open("a.png") as member:
            for file in (*files, member):
                np.testing.assert_array_equal(preprocess(file, 16), expected)
        np.testing.assert_array_equal(preprocess([io.BytesIO(png(1)), path], 16), np.repeat(expected, 2, 0))
        np.testing.assert_array_equal(read_image(io.BytesIO(png(1))), noise(1))
    assert model.predict(io.BytesIO(png(1)))[0].probabilities == model.predict(path)[0].probabilities
    assert model.predict(io.BytesIO(png(1)))[0].path is None
    np.testing.assert_array_equal(model.embed([io.BytesIO(png(1))]), model.embed(path).features)
    # The negative control: another file gives other pixels.
    assert not np.array_equal(preprocess(io.BytesIO(png(2)), 16), expected)


def test_a_file_may_stand_in_a_list_twice() -> None:
    file = io.BytesIO(png(3))
    found = preprocess([file, file], 16)
    np.testing.assert_array_equal(found[0], found[1])


def test_files_that_give_no_image_say_why(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "a.txt").open() as text, pytest.raises(ConfigError, match=r'a\.txt: .*open it with mode "rb"'):
        preprocess(text)
    closed = io.BytesIO(png(1))
    closed.close()
    with pytest.raises(ConfigError, match="cannot be read: I/O operation on closed file"):
        preprocess(closed)
    with pytest.raises(FormatError, match=r"photo\.png.*truncated"):
        preprocess(Upload(png(1)[:100]))
    upload = BackgroundUpload(png(1))
    del upload.file
    with pytest.raises(ConfigError, match=r"pass `await file\.read\(\)`"):
        preprocess(upload)


def test_dicts_of_bytes_and_paths_are_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(4))
    expected = preprocess(path, 16)
    for same in ({"bytes": png(4), "path": None}, {"bytes": png(4), "path": "gone.png"}, {"bytes": None, "path": path}):
        np.testing.assert_array_equal(preprocess(same, 16), expected)
        np.testing.assert_array_equal(preprocess([same, same], 16), np.repeat(expected, 2, 0))
    with pytest.raises(FormatError, match=r"cut\.png.*truncated"):
        preprocess({"bytes": png(4)[:90], "path": "cut.png"})
    with pytest.raises(ConfigError, match=r"got one with 'image', 'label': .* row\['image'\]"):
        preprocess({"image": noise(1), "label": 3})


def test_columns_of_tables_are_lists(tmp_path: Path) -> None:
    paths = []
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(png(i))
        paths.append(str(tmp_path / f"{i}.png"))
    expected = preprocess(paths, 16)
    for column in (Column(paths), np.array(paths), Column([{"bytes": png(i), "path": None} for i in range(3)])):
        np.testing.assert_array_equal(preprocess(column, 16), expected)
    pandas = pytest.importorskip("pandas", reason="not among the requirements")
    table = pandas.DataFrame({"path": paths, "label": ["a", "b", "a"]})
    np.testing.assert_array_equal(preprocess(table["path"], 16), expected)
    train = datasets.open((table["path"], table["label"]), validation_fraction=0).train
    assert train.labels.tolist() == [0, 1, 0]


def test_a_table_is_no_column_and_the_error_says_so() -> None:
    class Table:
        columns = ("path", "label")

        def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
            raise AssertionError("never made an array")

    with pytest.raises(ConfigError, match=r"pass table\['name'\]"):
        preprocess(Table())
    with pytest.raises(ConfigError, match=r"pass table\['label'\]"):
        datasets.open((np.zeros((2, 4, 4, 3), np.uint8), Table()))


@pytest.mark.parametrize("value", [5, None, object(), [noise(1), None], 1.5])
def test_what_is_taken_stands_in_one_sentence(value: Any) -> None:
    for call in (preprocess, lambda v: list(iterate_batches(v, SPEC)), lambda v: datasets.open((v, [0]))):
        with pytest.raises(ConfigError) as raised:
            call(value)
        assert f"expected {ACCEPTED}; got " in str(raised.value)
    for word in ("path", "file", "bytes", "PIL", "array", "folder", "column", "iterable"):
        assert word in ACCEPTED
