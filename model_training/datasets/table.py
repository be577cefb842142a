"""The public data sets by name: address, licence, citation, and the files with their digests.

A digest is listed only if it was computed from the complete file. If only a part of a file is known, `parts` has the digest of the
part, and `sha256` is empty: whether a complete file is altered cannot be determined.
"""

from __future__ import annotations

from typing import NamedTuple


class File(NamedTuple):
    """One file of a data set.

    Attributes:
        name: its path within the data set.
        sha256: digest of the complete file, hex; empty if unknown.
        rows: number of data rows of the complete file; None if unknown.
        parts: number of rows and SHA-256 of known parts.
        columns: columns missing in a known part.
    """

    name: str
    sha256: str = ""
    rows: int | None = None
    parts: tuple[tuple[int, str], ...] = ()
    columns: tuple[str, ...] = ()


class Dataset(NamedTuple):
    """One public data set.

    Attributes:
        base: address to which `archive` or the name of each file is appended.
        archive: zip with the files, possibly nested; empty if each file has its own address.
        header: number of header lines in each file.
    """

    title: str
    base: str
    archive: str
    licence: str
    citation: str
    header: int
    files: tuple[File, ...]

    def file(self, name: str) -> File | None:
        return next((file for file in self.files if file.name == name), None)

    def addresses(self, base: str = "") -> tuple[str, ...]:
        """Download addresses, optionally below another `base`."""
        base = (base or self.base).rstrip("/") + "/"
        return (base + self.archive,) if self.archive else tuple(base + file.name for file in self.files)


_SKAB_COMPLETE = {
    "other/1.csv": (745, "3beaf861bdfe9b4f4eff8e7567c1dd3f506fbd0ce667fc9399d04bd2dc70623d"),
    "other/2.csv": (780, "951c326bf36366fa7615b8f28d22f80b3878036069a690f42b3e223737a6a8d1"),
    "other/3.csv": (1137, "f3c19a89f74f62a475c246b9263f161f7a734dd88304de803939cebaa55c7ebd"),
    "other/5.csv": (1155, "7347b326df3a92c0810c69add0e5621939af7a1c1cb4755081d088e72d36920f"),
    "other/6.csv": (1147, "eb8f05622a62c855040ea358b87be35fb1a4a3720ba0610569bab384db4b6e04"),
    "other/7.csv": (1090, "1bee14f49bfc817ba2c335fb427baa71153d8f8ab52e72652f15f74e4b77daec"),
    "other/9.csv": (1144, "11c4514b0bc706acff637fea6707ad9258ac878fe9dff3d0b11d2b618d94d8ea"),
    "other/10.csv": (1327, "72683644f6f17689f619076a66a9ec02cbc0502bd669924c4c33951d1bdad9b0"),
    "other/12.csv": (1048, "b0882efbcf2669223ae78bee61c9f10074a9b2375f0e86b8957ae5ce4aad1e72"),
    "other/13.csv": (923, "b3f1da02064d11234836a9fa1a2536bb0d3b6c6998ab60b0b71869b98e94d860"),
    "valve1/0.csv": (1147, "16af3f71313a23dd33d9b7b8065d836d05c3f9257588881cc7fbe07c076d9dc8"),
    "valve1/1.csv": (1145, "fe4493bf805baef4e6dfb864094275d8cc2ea80a16b3735e2752b18b6aefd812"),
    "valve1/2.csv": (1075, "90492413469261886c8896c327241448df5da73fd7739cabfec8dd82de3c0ce4"),
    "valve1/4.csv": (1095, "983aed9dc09991a57911091373c580e1b86d06aa983cd51678f108fd8d709654"),
    "valve1/5.csv": (1154, "78974991ec87b7f9b9b6b2944f4b525468a9beb36c59b06cd7650d9a15eca14a"),
    "valve1/6.csv": (1154, "97469c0e0c9c0e0ee5d30794f1f36c6785df5816a112a8b16c59637e8c894685"),
    "valve1/8.csv": (1144, "0c4afb92248b5b35b4c9d734a91ed8318346901f04579074903730569e60416c"),
    "valve1/9.csv": (1148, "2aa1ae1b2ff505caecda24802b877dc686924bbbeeb7e7db4faa261efb5ed5bd"),
    "valve1/10.csv": (1146, "ee16be8e4b870c779491e3d1dc9e0ecbfaf29eb013e032abff7a33f2cbbfe2ad"),
    "valve1/12.csv": (1140, "90adfa9bc86d4556e6a4ce734436fd5685af79c189cd9828f8df75a7f468ce07"),
    "valve1/13.csv": (1140, "d6cb6a97437215d3066a87e1fcc5fa4e68017629c043c5315920e3cf1060841c"),
    "valve1/14.csv": (1139, "5f0bb9bc33c5e6c259263e32e25915c4d24c82b0a94554d48808626da05c1d71"),
    "valve2/0.csv": (1125, "a6670e7a68c7c6ba62c649bd9d350633e80db624578e9529f2b736ced5e32bde"),
    "valve2/2.csv": (1129, "2c3005cf28b88db715b7f4694e826ff252cba4dbb1eba679b040961f80477e60"),
}

_SKAB_NAMES = (
    *(f"valve1/{number}.csv" for number in range(16)),
    *(f"valve2/{number}.csv" for number in range(4)),
    *(f"other/{number}.csv" for number in range(1, 15)),
)


def _skab(name: str) -> File:
    rows, digest = _SKAB_COMPLETE.get(name, (None, ""))
    return File(name, digest, rows)


DATASETS: dict[str, Dataset] = {
    "skab": Dataset(
        "Skoltech Anomaly Benchmark v0.9: a water-circulation rig, eight sensors, 1 Hz, 34 recordings and one without anomalies",
        "https://raw.githubusercontent.com/waico/SKAB/master/data/",
        "",
        "GPL-3.0",
        "Katser, I. D. and Kozitsin, V. O.: Skoltech Anomaly Benchmark (SKAB), 2020, doi:10.34740/KAGGLE/DSV/1693952",
        1,
        (
            *(_skab(name) for name in _SKAB_NAMES),
            File(
                "anomaly-free/anomaly-free.csv",
                parts=((4700, "ff20d01cb26660bf336cef5ee7208f9eb58c93fa75a4a41501779a759cd47fe0"),),
            ),
        ),
    ),
    "cmapss": Dataset(
        "C-MAPSS turbofan engine degradation, FD001: 100 engines run to failure, 100 test engines, 21 sensors a cycle",
        "https://phm-datasets.s3.amazonaws.com/NASA/",
        "6.+Turbofan+Engine+Degradation+Simulation+Data+Set.zip",
        "public (NASA Prognostics Center of Excellence)",
        "Saxena, A. and Goebel, K.: Turbofan Engine Degradation Simulation Data Set, NASA Ames Prognostics Data Repository, 2008",
        0,
        (
            File("train_FD001.txt", "963b5e22825b34d8b21c69e1aeb4af3e647050eb672ee8834ba4b5d91d2de0f8", 20631),
            File("test_FD001.txt", "", 13096, ((6339, "ba0238521c6609044623967cc814551e120725ea16b7b94605148caf225dc04f"),)),
            File("RUL_FD001.txt", "", 100, ((50, "2d53d227cf04ffe5afc3df45bb988f9c36f6af07225ccfe4252f434effddb1d5"),)),
        ),
    ),
    "ai4i": Dataset(
        "AI4I 2020 predictive maintenance: a milling machine, synthetic, 10,000 rows, five kinds of failure",
        "https://archive.ics.uci.edu/static/public/601/",
        "ai4i+2020+predictive+maintenance+dataset.zip",
        "CC BY 4.0",
        "Matzka, S.: Explainable Artificial Intelligence for Predictive Maintenance Applications, AI4I 2020, doi:10.24432/C5HS5C",
        1,
        (
            File(
                "ai4i2020.csv",
                "",
                10_000,
                ((10_000, "0975e02f4cf6a9dc15e3d70c2028bcaefdd8d8af37a4961f8bf57903318668b7"),),
                ("TWF", "HDF", "PWF", "OSF", "RNF"),
            ),
        ),
    ),
}
