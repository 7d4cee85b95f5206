"""Device records of other boards, from copies of their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latelite import device

PI_CPU = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""


def files(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    content = {
        "proc/cpuinfo": PI_CPU,
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
        "proc/meminfo": "MemTotal:        8256000 kB\nMemAvailable:    7000000 kB\n",
        "proc/stat": "cpu  1000 0 500 90000 10 0 20 30 0 0\ncpu0 1 2 3\n",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/class/thermal/thermal_zone0/temp": "61250\n",
        "sys/class/thermal/thermal_zone1/temp": "-273000\n",  # a sensor that is switched off
        "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
        "sys/class/thermal/cooling_device0/cur_state": "3\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50000\n",
    }
    for core in range(4):
        folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        content |= {f"{folder}/scaling_governor": "ondemand\n", f"{folder}/scaling_cur_freq": f"{1500 + core}000\n"}
        content[f"{folder}/cpuinfo_max_freq"] = "2400000\n"
    return files(tmp_path, content)


def test_a_raspberry_pi(pi: Path) -> None:
    record = device.record(pi)
    assert record["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert record["soc"] == "brcm,bcm2712"
    assert record["cpu"] == "Cortex-A76"
    assert record["int8_flags"] == ["asimddp"]
    assert record["other_flags"] == ["asimd", "asimdhp", "fphp"]
    assert record["memory_mib"] == 8062
    assert record["system"] == "Debian GNU/Linux 12 (bookworm)"
    state = device.state(pi)
    assert state["governors"] == ["ondemand"]
    assert (state["mhz"], state["max_mhz"]) == (1503, 2400)
    assert state["temperature_c"] == 61.25
    assert state["throttled"] == {"now": [], "since_boot": ["under-voltage", "throttled"]}
    assert state["cooling"] is None  # a fan does not lower the clock
    assert state["cpu_seconds"]["busy"] == pytest.approx(1520 / 100)
    assert state["cpu_seconds"]["stolen"] == pytest.approx(0.3)


def test_an_unknown_arm_part_is_named_by_its_numbers(tmp_path: Path) -> None:
    root = files(tmp_path, {"proc/cpuinfo": PI_CPU.replace("0xd0b", "0xfff")})
    assert device.record(root)["cpu"] == "implementer 0x41, part 0xfff"


def test_a_jetson_and_a_pc(tmp_path: Path) -> None:
    jetson = files(tmp_path / "jetson", {"proc/device-tree/compatible": "nvidia,p3768-0000\0nvidia,tegra234\0"})
    assert device.record(jetson)["soc"] == "nvidia,tegra234"
    names = {"sys_vendor": "LENOVO\n", "product_name": "20XW\n"}
    pc = files(tmp_path / "pc", {f"sys/class/dmi/id/{name}": text for name, text in names.items()})
    assert device.record(pc)["board"] == "LENOVO 20XW"


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    record = device.record(tmp_path)
    unknown = ("board", "soc", "int8_flags", "other_flags", "memory_mib", "system")
    assert [record[name] for name in unknown] == [None] * len(unknown)
    state = device.state(tmp_path)
    assert state.pop("clock") > 0
    assert set(state.values()) == {None}
    assert device.warnings(state | {"clock": 0}, state | {"clock": 9}) == []


def test_files_that_refuse_to_be_read_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir(parents=True)  # reading a folder is an OSError
    files(tmp_path, {"sys/class/thermal/thermal_zone1/temp": "N/A\n"})
    assert device.state(tmp_path)["temperature_c"] is None


CALM: dict[str, Any] = {
    "governors": ["performance"],
    "temperature_c": 50.0,
    "throttled": {"now": [], "since_boot": ["throttled"]},
    "throttle_count": 7,
    "cooling": {},
    "cpu_seconds": {"busy": 1000.0, "stolen": 10.0, "own": 5.0},
    "clock": 100.0,
}


def later(**changes: Any) -> dict[str, Any]:
    spent = {"busy": 1010.0, "stolen": 10.0, "own": 15.0}
    return {**CALM, "clock": 120.0, "cpu_seconds": spent, **changes}


def test_a_calm_run_has_no_warnings() -> None:
    assert device.warnings(CALM, later()) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"governors": ["performance", "powersave"]}, "powersave"),
        ({"throttled": {"now": ["under-voltage"], "since_boot": ["under-voltage"]}}, "under-voltage"),
        ({"throttled": {"now": [], "since_boot": ["throttled", "under-voltage"]}}, "under-voltage during the run"),
        ({"throttle_count": 9}, "2 times"),
        ({"cooling": {"thermal-cpufreq-0": 2}}, "thermal-cpufreq-0"),
        ({"temperature_c": 84.6}, "85 °C"),
        ({"cpu_seconds": {"busy": 1500.0, "stolen": 10.0, "own": 15.0}}, "Other processes"),
        ({"cpu_seconds": {"busy": 1010.0, "stolen": 500.0, "own": 15.0}}, "host of this virtual machine"),
    ],
)
def test_each_disturbance_of_a_run_is_flagged(change: dict[str, Any], word: str) -> None:
    (warning,) = device.warnings(CALM, later(**change))
    assert word in warning


def test_one_state_tells_what_happened_since_boot() -> None:
    assert device.warnings(CALM) == ["The board reports: throttled since boot."]


def test_this_machine() -> None:
    record = device.record()
    assert record["cores"] >= record["usable_cores"] >= 1
    assert record["versions"]["numpy"].count(".") == 2
    device.state()
