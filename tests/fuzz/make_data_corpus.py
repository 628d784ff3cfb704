# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_csv and fuzz_tar: python make_data_corpus.py."""

import gzip
import io
import tarfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def save(name: str, data: bytes) -> None:
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            archive.addfile(member, io.BytesIO(data))
    size = 1024 + sum(512 + (len(data) + 511) // 512 * 512 for data in members.values())
    return out.getvalue()[:size]  # without the blocks that only round it up


def make_csv() -> None:
    save("csv/header", b'\xef\xbb\xbfpath,label\r\na.png,cat\r\n"b ""x"".png","dog, big"\n\n')
    save("csv/plain", b"a.png,1\nb.png,2")
    save("csv/open_quote", b'a,"b\nc')


def make_tar() -> None:
    archive = tar({"cifar/": b"", "cifar/train.bin": b"abc" * 300, "cifar/test1.bin": b""})
    save("tar/plain", archive)
    save("tar/gzipped", gzip.compress(archive, mtime=0))
    save("tar/long_name", tar({"x" * 90 + "/" + "y" * 60: b"abc"}))


if __name__ == "__main__":
    make_csv()
    make_tar()
