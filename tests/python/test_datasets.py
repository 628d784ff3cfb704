# SPDX-License-Identifier: Apache-2.0
"""Data sets from folders, lists and arrays, and their batches."""

from __future__ import annotations

from pathlib import Path

import _core_testing
import numpy as np
import pybit
import pytest
from data_folders import digit_folder, digits
from pybit import _core, datasets


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("digits")
    digit_folder(root / "train", 12, ".jpg")
    digit_folder(root / "val", 4, ".png", first=12)
    return root


def test_a_folder_of_real_digits_is_divided_as_it_is(folder: Path):
    train, validation = datasets.open(folder)
    assert (len(train), len(validation)) == (120, 40)
    assert train.class_names == [str(c) for c in range(10)]
    assert train.counts == {str(c): 12 for c in range(10)}
    image, label = train[-1]
    assert image.shape == (24, 24, 3) and label == 9
    np.testing.assert_array_equal(image, pybit.data.read_image(train.name(119)))
    assert repr(train) == f"<Dataset: 120 images of 10 classes from {folder}>"
    assert train.image_size == (24, 24)
    train.check_trainable()
    with pytest.raises(IndexError):
        train[120]
    with pytest.raises(ValueError, match="read-only"):
        train.labels[0] = 3


def test_a_plain_folder_is_split_by_the_seed(folder: Path):
    train, validation = datasets.open(folder / "train", validation_fraction=0.25, seed=1)
    assert validation.counts == {str(c): 3 for c in range(10)}
    names = [s.name(i) for s in (train, validation) for i in range(len(s))]
    assert len(set(names)) == 120
    again = datasets.open(folder / "train", validation_fraction=0.25, seed=1)
    other = datasets.open(folder / "train", validation_fraction=0.25, seed=2)
    of = [[s.validation.name(i) for i in range(30)] for s in (again, other)]
    assert of[0] == names[90:] and of[1] != names[90:]


def test_class_order_is_natural_or_lexical(tmp_path: Path):
    image = digit_folder(tmp_path / "d", 2) / "0"
    for name in ("2", "10"):
        (tmp_path / "numbers" / name).mkdir(parents=True)
        for file in image.iterdir():
            (tmp_path / "numbers" / name / file.name).write_bytes(file.read_bytes())
    assert datasets.open(tmp_path / "numbers").train.class_names == ["2", "10"]
    assert datasets.open(tmp_path / "numbers", order="lexical").train.class_names == ["10", "2"]
    with pytest.raises(ValueError, match="order 'natural' or 'lexical', got 'random'"):
        datasets.open(tmp_path / "numbers", order="random")


def test_evaluation_batches_are_the_references_squash(folder: Path):
    validation = datasets.open(folder).validation
    paths = [validation.name(i) for i in range(len(validation))]
    batches = list(validation.evaluation_batches(16, crop=20))
    assert [len(b.labels) for b in batches] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate([b.images for b in batches]), pybit.preprocess(paths, 20))
    np.testing.assert_array_equal(np.concatenate([b.labels for b in batches]), validation.labels)
    nhwc = next(validation.evaluation_batches(16, crop=20, layout="nhwc", resampling="tf"))
    expected = pybit.preprocess(paths[:16], 20, resampling="tf", layout="nhwc")
    np.testing.assert_array_equal(nhwc.images, expected)


def test_training_batches_equal_pillow_cropped_and_mirrored(folder: Path):
    image_module = pytest.importorskip("PIL.Image")
    train = datasets.open(folder).train
    flips = 0
    for batch in train.batches(50, resize=20, crop=16, seed=3):
        for image, index in zip(batch.images, batch.indices, strict=True):
            pil = image_module.open(train.name(index)).convert("RGB").resize((20, 20), image_module.Resampling.BILINEAR)
            pixels = np.asarray(pil, np.float32).transpose(2, 0, 1)
            whole = (pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
            crops = {
                (top, left, flip): whole[:, top : top + 16, left : left + 16][:, :, :: -1 if flip else 1]
                for top in range(5)
                for left in range(5)
                for flip in (False, True)
            }
            found = [key for key, crop in crops.items() if np.array_equal(crop, image)]
            assert found, "neither crop nor mirror of Pillow's image"
            flips += found[0][2]
    assert 30 < flips < 90  # 120 images, standard deviation 5.5


def test_batches_do_not_depend_on_threads_or_where_they_start(folder: Path):
    train = datasets.open(folder).train
    options = {"resize": 20, "crop": 16, "seed": 3, "last": 8}
    expected = list(train.batches(50, threads=1, **options))
    assert [len(b.labels) for b in expected] == [50, 50, 20, 50, 50, 20, 50, 50]
    for first, threads in ((0, 4), (3, 2), (7, 3)):
        for batch, same in zip(
            train.batches(50, first=first, threads=threads, **options), expected[first:], strict=True
        ):
            assert batch.number == same.number
            for mine, theirs in zip(batch[1:], same[1:], strict=True):
                np.testing.assert_array_equal(mine, theirs)
    epoch = np.concatenate([b.indices for b in expected[:3]])
    assert sorted(epoch) == list(range(120))
    assert not np.array_equal(epoch, np.concatenate([b.indices for b in expected[3:6]]))


def test_compatible_batches_carry_over_and_always_mirror(folder: Path):
    train = datasets.open(folder).train
    batches = list(train.batches(50, resize=16, crop=16, flip="always", carry_over=True, resampling="tf", last=12))
    assert {len(b.labels) for b in batches} == {50}
    counts = np.bincount(np.concatenate([b.indices for b in batches]), minlength=120)
    assert set(counts) == {5}
    plain = pybit.preprocess([train.name(i) for i in batches[0].indices], 16, resampling="tf")
    np.testing.assert_array_equal(batches[0].images, plain[:, :, :, ::-1])


def test_a_batch_larger_than_the_set_is_drawn_with_replacement(folder: Path):
    few = datasets.open(folder).train.few_shot(1)
    (batch,) = few.batches(64, resize=16, crop=16)
    assert len(batch.labels) == 64
    assert len(set(np.bincount(batch.indices).tolist())) > 1
    (carried,) = few.batches(70, resize=16, crop=16, carry_over=True)
    assert np.bincount(carried.indices).tolist() == [7] * 10


def test_few_shot_takes_k_of_each_class_by_the_seed(folder: Path):
    train = datasets.open(folder).train
    chosen = set()
    for rule in ("exact", "pytorch", "jax", "tf2"):
        for seed in (0, 1):
            few = train.few_shot(3, seed, rule)
            assert few.counts == {str(c): 3 for c in range(10)}
            names = tuple(sorted(few.name(i) for i in range(30)))
            assert len(set(names)) == 30
            again = train.few_shot(3, seed, rule)
            assert tuple(sorted(again.name(i) for i in range(30))) == names
            chosen.add(names)
    assert len(chosen) == 6  # jax and tf2 agree
    with pytest.raises(ValueError, match="at least 13 examples of each class, but '0' has 12, '1' has 12"):
        train.few_shot(13)
    with pytest.raises(ValueError, match="'0' has 12"):
        train.few_shot(13, rule="jax")
    with pytest.raises(ValueError, match="rule 'exact', 'pytorch'"):
        train.few_shot(1, rule="best")


def test_few_shot_of_jax_and_tf2_is_numpys_global_generator():
    images, labels = digits()
    whole = datasets.open((images, labels), validation_fraction=0).train
    np.random.seed(5)
    expected = [np.random.choice(np.where(labels == c)[0], 4, replace=False) for c in range(10)]
    few = whole.few_shot(4, 5, "jax")
    positions = [int(few.name(i).rsplit(" ", 1)[1]) for i in range(40)]
    assert positions == np.concatenate(expected).tolist()


def test_arrays_of_digits_become_rgb():
    images, labels = digits()
    train, validation = datasets.open((images, labels), seed=4)
    assert len(train) + len(validation) == 1797
    assert train.class_names == [str(c) for c in range(10)]
    i = 17
    position = int(train.name(i).rsplit(" ", 1)[1])
    image, label = train[i]
    np.testing.assert_array_equal(image, np.repeat(images[position][:, :, None], 3, 2))
    assert label == labels[position]
    both = datasets.open((images[:100], labels[:100]), validation=(images[100:120], labels[100:120]))
    assert [len(s) for s in both] == [100, 20]


def test_labels_may_be_names():
    images = np.zeros((4, 5, 6, 3), np.uint8)
    train = datasets.open((images, ["b10", "b2", "b10", "a"]), validation_fraction=0).train
    assert train.class_names == ["a", "b2", "b10"]
    assert train.labels.tolist() == [2, 1, 2, 0]
    given = datasets.open((images, ["x", "y", "x", "y"]), class_names=["y", "z", "x"], validation_fraction=0).train
    assert given.labels.tolist() == [2, 0, 2, 0]


def test_csv_lists_split_or_come_in_pairs(folder: Path, tmp_path: Path):
    rows = [f"{p},{p.parent.name}" for p in sorted((folder / "train").rglob("*.jpg"))]
    (tmp_path / "train.csv").write_text("\n".join(["path,label", *rows[:100], ""]))
    (tmp_path / "val.csv").write_text("\n".join(rows[:20]))
    train, validation = datasets.open(tmp_path / "train.csv", validation=tmp_path / "val.csv")
    assert (len(train), len(validation)) == (100, 20)
    assert validation.class_names == train.class_names
    split = datasets.open(tmp_path / "train.csv", validation_fraction=0.5)
    assert [len(s) for s in split] == [50, 50]
    (tmp_path / "bad.csv").write_text(f"{rows[0]}\nnowhere.png,3\n")
    with pytest.raises(ValueError, match=r"bad\.csv:2: expected an image file at .*nowhere\.png"):
        datasets.open(tmp_path / "bad.csv")


def test_training_needs_two_classes_with_images(folder: Path, tmp_path: Path):
    digit_folder(tmp_path / "d", 2)
    for file in (tmp_path / "d" / "3").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="none of '3'; add images or remove the class"):
        datasets.open(tmp_path / "d").train.check_trainable()
    one = datasets.open((np.zeros((4, 2, 2, 3), np.uint8), ["cat"] * 4)).train
    with pytest.raises(ValueError, match="at least two classes, found only 'cat'"):
        one.check_trainable()


def test_an_image_that_is_damaged_meanwhile_stops_by_name_or_is_skipped(tmp_path: Path):
    train = datasets.open(digit_folder(tmp_path / "d", 3), validation_fraction=0).train
    victim = Path(train.name(7))
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{victim.name}.*truncated"):
        list(train.batches(10, resize=8, crop=8))
    loader = train.batches(10, resize=8, crop=8, skip_corrupt=True)
    seen = np.concatenate([b.indices for b in loader])
    assert sorted(seen) == [i for i in range(30) if i != 7]
    (skipped,) = loader.skipped
    assert skipped.position == 7 and skipped.name == str(victim) and "truncated" in skipped.reason
    victim.unlink()
    with pytest.raises(FileNotFoundError, match=victim.name):
        list(train.batches(10, resize=8, crop=8))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ((np.zeros((3, 4, 4, 3), np.float32), [0, 1, 0]), "expected uint8 images"),
        ((np.zeros((3, 4, 4, 5), np.uint8), [0, 1, 0]), "expected uint8 images"),
        ((np.zeros((3, 4, 4, 3), np.uint8), [0, 1]), "got 3 images and 2 labels"),
        ((np.zeros((3, 0, 4, 3), np.uint8), [0, 1, 0]), r"got uint8 \(3, 0, 4, 3\)"),
        ((np.zeros((3, 4, 4, 3), np.uint8), [0, -1, 0]), "at least 0, got -1 at position 1"),
        ((np.zeros((3, 4, 4, 3), np.uint8), [0, 10**12, 0]), "below 1048576, got 1000000000000"),
        ((np.zeros((3, 4, 4, 3), np.uint8), [[[0]], [[1]], [[0]]]), r"shape \(n,\) or \(n,1\), got \(3, 1, 1\)"),
        ((np.zeros((3, 4, 4, 3), np.uint8), [0.0, 1.5, 0.0]), "whole numbers or names, got 1.5 at position 1"),
        ((np.zeros((3, 4, 4, 3), np.uint8), [None, 1, "a"]), "whole numbers or names"),
        ((["a.png"], [0, 1]), "got 1 images and 2 labels"),
        (5, "a pair"),
        ([1, 2, 3], "a pair"),
    ],
)
def test_other_sources_are_value_errors(source, text):
    with pytest.raises(ValueError, match=text):
        datasets.open(source)


def test_labels_beyond_given_classes_are_refused():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="number of classes, 2, got 2 for arrays, image 1"):
        datasets.open((images, [0, 2]), class_names=["a", "b"])
    with pytest.raises(ValueError, match="among the 2 class names, got 'c'"):
        datasets.open((images, ["a", "c"]), class_names=["a", "b"])


def test_missing_paths_and_misplaced_options_say_so(tmp_path: Path, folder: Path):
    with pytest.raises(FileNotFoundError, match="nothing is there"):
        datasets.open(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        datasets.open(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="one subfolder per class"):
        datasets.open(tmp_path)
    with pytest.raises(ValueError, match="with a CSV list or a pair only"):
        datasets.open(folder, class_names=["a"])
    with pytest.raises(ValueError, match="crop 9 and resize 8"):
        datasets.open(folder).train.batches(4, resize=8, crop=9)
    with pytest.raises(ValueError, match="batch of at least 1"):
        datasets.open(folder).train.batches(0, resize=8, crop=8)
    with pytest.raises(ValueError, match="flip 'random' or 'always' or 'never'"):
        datasets.open(folder).train.batches(1, resize=8, crop=8, flip="maybe")


def test_seeds_give_the_same_choices_on_every_machine():
    """What a seed means must not change between versions: runs could not be resumed."""
    sampler = _core.Sampler(examples=10, batch_size=10, seed=1, order="shuffled", epoch_end="short_batch")
    assert sampler.batch(0).tolist() == [8, 0, 4, 9, 5, 2, 6, 1, 7, 3]
    assert _core_testing.mixup_partners(6, "permuted", 1, 2).tolist() == [3, 5, 0, 2, 1, 4]
    assert _core.few_shot(np.arange(12) % 3, ["a", "b", "c"], 2, 1, False).tolist() == [0, 3, 4, 5, 10, 11]
