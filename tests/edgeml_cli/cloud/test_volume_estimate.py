"""`edgeml cloud estimate`: the formulas, their dependence on the configuration, and the table in the README."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeml_cli.build.package import ROOT
from edgeml_cli.cloud import volume_estimate
from edgeml_cli.cloud.device_load import DeviceLoad, device_load
from edgeml_cli.cloud.volume_estimate import BEGIN, END
from edgeml_cli.cloud.volume_formulas import quantities
from edgeml_cli.fleet import config_check

DOCUMENT = ROOT / "libs" / "edgeml_cli" / "cloud" / "README.md"
TWO_ASSETS = DeviceLoad(
    assets=2,
    reports=True,
    alerts=True,
    report_interval_s=60,
    gather_s=1,
    row_interval_s=1,
    alarms=2,
    health_interval_s=300,
    captured_rows=0,
    echoed=frozenset(),
    report_bytes=400,
    result_bytes=200,
    alert_bytes=6000,
    health_bytes=300,
    ack_bytes=100,
    capture_rows=90,
    capture_bytes=5100,
    results_days=60,
    health_days=30,
    captures_days=90,
    flush_s=900,
    flush_mb=1,
)


def values(load: DeviceLoad, devices: int = 1) -> dict[str, float]:
    return {quantity.key: quantity.value(devices) for quantity in quantities(load)}


def test_quantities_match_hand_calculation() -> None:
    got = values(TWO_ASSETS)
    assert got["results"] == got["reports"] == 2 * (43200 + 10)
    assert got["alerts"] == 12
    assert got["health"] == 3 * 8640
    assert got["messages"] == 86420 + 12 * 2 + 25920 + 2 * 4
    assert got["captures"] == got["echoes"] == 0 and got["received"] == pytest.approx(4 * 100 / 1e6)
    assert got["rules"] == 86420 + 12 + 25920
    assert got["sent"] == pytest.approx((86420 * 400 + 12 * 6000 + 25920 * 300) / 1e6)
    assert got["firehose"] == pytest.approx((86420 + 25920) * 5120 / 1e6)
    assert got["storage"] == pytest.approx((2 * 86420 * 400 + 25920 * 300) / 1e6)
    assert got["objects"] == 2 * 2880
    assert values(TWO_ASSETS, 1000)["objects"] == pytest.approx(1000 * (86420 * 400 + 25920 * 300) / 2**20)


def test_echoed_messages_are_metered_twice_and_received() -> None:
    plain = values(TWO_ASSETS)
    for name, units, size in (("alerts", 12 * 2, 12 * 6000), ("reports", 86420, 86420 * 400), ("health", 25920, 25920 * 300)):
        got = values(replace(TWO_ASSETS, echoed=frozenset({name})))
        assert got["echoes"] == units and got["messages"] == plain["messages"] + units
        assert got["received"] == pytest.approx(plain["received"] + size / 1e6)
        unchanged = plain.keys() - {"echoes", "messages", "received"}
        assert {key: got[key] for key in unchanged} == {key: plain[key] for key in unchanged}
    text = volume_estimate.markdown(replace(TWO_ASSETS, echoed=frozenset({"alerts", "health"})), {}, (1,))
    assert (
        "| 25,944 | alerts × ⌈6000 / 5120⌉ + health messages × ⌈300 / 5120⌉; see `outbox.confirmation` and `capture.upload_confirmation` |"
        in text
    )


def test_capture_messages_match_hand_calculation() -> None:
    plain, got = values(TWO_ASSETS), values(replace(TWO_ASSETS, captured_rows=90_000, echoed=frozenset({"captures"})))
    assert got["captures"] == got["echoes"] == 2000
    assert got["messages"] == plain["messages"] + 4000 and got["rules"] == plain["rules"] + 2000
    for key, more in (("sent", 2000 * 5100), ("received", 2000 * 5100), ("firehose", 2000 * 5120), ("storage", 3 * 2000 * 5100)):
        assert got[key] == pytest.approx(plain[key] + more / 1e6)


@pytest.mark.parametrize(
    ("capture", "rows"),
    [
        ("{mode: all}", 0),
        ("{mode: all, upload: true}", 2_592_000),
        ("{mode: alarms, upload: true, before_s: 100, after_s: 50}", 600),
    ],
)
def test_captured_rows_follow_the_configuration(tmp_path: Path, capture: str, rows: int) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"com.edgeml.SensorIngestion: {{merge: {{capture: {capture}}}}}\n")
    load = device_load(config_check.read_updates(config), 2.0, 1.0)
    assert load.captured_rows == rows and (load.capture_rows > 50) == bool(rows)
    assert load.capture_bytes <= 5000 and load.echoed == {"alerts"}


def test_echoes_follow_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "com.edgeml.AlertDispatcher: {merge: {outbox: {confirmation: {alerts: acknowledgement, results: echo, health: echo}}}}\n"
    )
    assert device_load(config_check.read_updates(config), 2.0, 1.0).echoed == {"reports", "health"}


def test_frequent_results_share_a_report() -> None:
    got = values(replace(TWO_ASSETS, report_interval_s=0, gather_s=10, alarms=0, health_interval_s=0))
    assert got["results"] == 2 * 2592000 and got["reports"] == got["results"] / 10
    assert got["sent"] == pytest.approx(got["reports"] * (400 + 9 * 200) / 1e6)


def test_disabled_features_send_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    off = "report: {enabled: false}, actions: {iot_core: null}, health: {enabled: false}"
    config.write_text(f"com.edgeml.AlertDispatcher: {{merge: {{{off}}}}}\n")
    assert volume_estimate.main(["--config", str(config)]) == 0
    assert "| messages metered by IoT Core | 0 | 0 | 0 |" in capsys.readouterr().out


def test_prices_give_a_cost_and_unknown_names_are_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "| 112.37 | 112,372.00 |" in volume_estimate.markdown(TWO_ASSETS, {"messages": 1000.0}, (1, 1000))
    prices = tmp_path / "prices.yaml"
    prices.write_text("mesages: 1\n")
    assert volume_estimate.main(["--prices", str(prices)]) == 1
    assert "prices for unknown quantities: mesages; valid names are results, reports" in capsys.readouterr().err


def test_invalid_configuration_is_reported_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("com.edgeml.AlertDispatcher: {merge: {report: {interval: 5}}}\n")
    assert volume_estimate.main(["--config", str(config)]) == 1
    wanted = "edgeml cloud estimate: com.edgeml.AlertDispatcher: `report.interval` is an unknown option; did you mean `interval_s`?\n"
    assert capsys.readouterr().err == wanted


def test_readme_contains_the_computed_table() -> None:
    table = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].strip()
    assert table == volume_estimate.markdown(device_load({}, 2.0, 1.0), {}).strip(), (
        "run: edgeml cloud estimate --write libs/edgeml_cli/cloud/README.md"
    )


def test_file_without_the_marks_is_not_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "README.md"
    target.write_text("nothing\n")
    assert volume_estimate.main(["--write", str(target)]) == 1
    assert "add both where the table belongs" in capsys.readouterr().err and target.read_text() == "nothing\n"
