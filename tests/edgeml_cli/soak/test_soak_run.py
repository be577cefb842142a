"""A short soak of the deployed suite at ten times the default rate, with samples of every process."""

from __future__ import annotations

from edgeml_cli.build.package import COMPONENTS
from edgeml_cli.verify.chaos.workspace import Workspace
from edgeml_cli.verify.soak.run import Soak

SECONDS, WARM_S = 12.0, 3.0


def test_short_soak_samples_every_process(built, venvs, tmp_path):
    place = Workspace(tmp_path, "lite", venvs["com.edgeml.Inference"].parent)
    (tmp_path / "greengrass-build").symlink_to(built)
    said: list[str] = []
    # A few seconds at the beginning say nothing about an hour; the bound is that of the tests of `growth`.
    figures = Soak(place, SECONDS / 60, WARM_S / 60, 0.5, 1e6, said.append).go()
    assert [each for each in figures["problems"] if "risen" not in each and "rows came" not in each] == []
    assert 5 < figures["rows_per_s"] < 12  # beside other work on the machine
    assert set(figures["components"]) == set(COMPONENTS)
    for component in figures["components"].values():
        assert 5 < component["anonymous_mib"]["last"] < component["rss_mib"]["last"] < 1000
        assert component["threads"]["least"] >= 2
        assert component["descriptors"]["least"] >= 5
        assert component["queue inbox"]["most"] >= 0
    assert all(name.rsplit(".", 1)[-1] in said[0] for name in COMPONENTS)
