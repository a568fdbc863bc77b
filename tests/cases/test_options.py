"""Options: units mean what they say, files and assignments give the same options back, refusals are one line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.monai import MonaiOptions
from cases.options import build_options, parse_assignment, read_config
from cases.run import RunRequest, plan
from cases.run_folder import write_config
from cases.units import Unit

LENGTH, TIME = Unit("m"), Unit("s")
numbers = st.floats(1e-6, 1e6, allow_subnormal=False)


@pytest.mark.parametrize(
    ("unit", "text", "value"),
    [
        ("m", "5 cm", 0.05),
        ("m", "5cm", 0.05),
        ("m", "140 mm", 0.14),
        ("m", "0.001 km", 1.0),
        ("m", "1 foot", 0.3048),
        ("m", "0.25", 0.25),
        ("s", "2 min", 120.0),
        ("s", "1 h", 3600.0),
        ("s", "250 ms", 0.25),
        ("s/m**(1/3)", "0.02 s/m^(1/3)", 0.02),
        ("s/m**(1/3)", "0.02 s m**(-1/3)", 0.02),
    ],
)
def test_text_with_unit(unit: str, text: str, value: float) -> None:
    assert Unit(unit).convert(text) == pytest.approx(value, rel=1e-14)


@given(numbers)
def test_the_unit_only_scales(value: float) -> None:
    assert LENGTH.convert(f"{value!r} m") == LENGTH.convert(repr(value)) == LENGTH.convert(value) == value
    assert LENGTH.convert(f"{value!r} cm") == pytest.approx(value / 100, rel=1e-14)
    assert LENGTH.convert(f"{value!r} km") == pytest.approx(value * 1000, rel=1e-14)
    assert TIME.convert(f"{value!r} min") == pytest.approx(value * 60, rel=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        "5 s",
        "5 kg",
        "m2",
        "5 %",
        "5 cm/m",
        "5 degree",
        "5 apples",
        "",
        " ",
        "five",
        "(5 cm",
        "1/0 m",
        "--",
        "'",
    ],
)
def test_text_that_is_no_length(text: str) -> None:
    with pytest.raises(ValueError, match=r"^got .*, expected a number in m$"):
        LENGTH.convert(text)


# No * and ^: nobody needs the tower of powers that keeps a parser busy for a day.
@given(st.text(max_size=12) | st.text("0123456789.+-/()[]{}'\" cmske_#,=:", max_size=12))
def test_any_text_is_a_number_or_one_refusal(text: str) -> None:
    try:
        assert isinstance(LENGTH.convert(text), float)
    except ValueError as refusal:
        assert str(refusal) == f"got {text!r}, expected a number in m"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("order=1", "order", 1),
        ("friction=0.01", "friction", 0.01),
        ("t_end=1e3", "t_end", 1000.0),
        (" resolution = 5 cm ", "resolution", "5 cm"),
        ("scheme=ssp-rk3", "scheme", "ssp-rk3"),
        ('scheme="ssp-rk3"', "scheme", "ssp-rk3"),
        ("flag=true", "flag", True),
        ("list=[1, 2]", "list", [1, 2]),
        ("key=a=b", "key", "a=b"),
        ("empty=", "empty", ""),
        ("friction=0.01\nt_end=5", "friction", "0.01\nt_end=5"),
    ],
)
def test_assignment(text: str, key: str, value: object) -> None:
    assert parse_assignment(text) == (key, value)
    assert type(parse_assignment(text)[1]) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False) | st.integers(-(2**62), 2**62))
def test_assigned_number_keeps_type_and_every_digit(value: float) -> None:
    assert parse_assignment(f"key={value!r}") == ("key", value)
    assert type(parse_assignment(f"key={value!r}")[1]) is type(value)


@pytest.mark.parametrize("text", ["", "resolution", "=0.1", " = 0.1", "resolution 0.1"])
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(ValueError, match=r"--set: got .*, expected key=value; for example --set "):
        parse_assignment(text)


def test_later_layers_win_and_defaults_fill_in() -> None:
    options = build_options(MonaiOptions, {"t_end": 3.0, "friction": 0.1}, {"t_end": 4.0})
    assert (options.t_end, options.friction, options.order) == (4.0, 0.1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolutoin": 0.1}, "option: got unknown key 'resolutoin', expected one of resolution, order, .*; "
         "did you mean 'resolution'\\?"),
        ({"zzz": 0.1}, "option: got unknown key 'zzz', expected one of resolution, .*; see the list"),
        ({"resolution": -0.1}, r"option resolution: got -0.1, expected greater than 0.005; .* \[m\]"),
        ({"resolution": "-5 cm"}, r"option resolution: got -0.05, expected greater than 0.005; .* \[m\]"),
        ({"resolution": "5 s"}, r"option resolution: got '5 s', expected a number in m; .* \[m\]"),
        ({"t_end": True}, r"option t_end: got True, expected a valid number; simulated time \[s\]"),
        ({"t_end": float("nan")}, r"option t_end: got nan, expected a finite number; simulated time \[s\]"),
        ({"t_end": "inf s"}, r"option t_end: got inf, expected a finite number; simulated time \[s\]"),
        ({"t_end": [1]}, r"option t_end: got \[1\], expected a valid number; simulated time \[s\]"),
        ({"order": 2}, "option order: got 2, expected 0 or 1; .*"),
        ({"scheme": "leapfrog"}, "option scheme: got 'leapfrog', expected 'euler', .*; Runge-Kutta scheme"),
    ],
)  # fmt: skip
def test_refused_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        build_options(MonaiOptions, options)


@given(
    st.builds(
        MonaiOptions,
        resolution=st.floats(0.005, 0.6, exclude_min=True, allow_subnormal=False),
        order=st.sampled_from([0, 1]),
        friction=st.floats(0, 0.2, allow_subnormal=False),
        t_end=st.floats(1e-3, 600, allow_subnormal=False),
        courant=st.floats(1e-3, 1, allow_subnormal=False),
        scheme=st.sampled_from(["euler", "ssp-rk2", "ssp-rk3"]),
    )
)
def test_config_file_keeps_every_digit(tmp_path_factory: pytest.TempPathFactory, options: MonaiOptions) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_config(folder, "monai", "none", 7, options.model_dump())
    config = read_config(folder / "config.toml")
    assert (config["case"], config["mover"], config["seed"]) == ("monai", "none", 7)
    assert build_options(MonaiOptions, config["options"]) == options


def test_config_of_a_run_reruns_it(small_run: Path, tmp_path: Path) -> None:
    config = tomllib.loads((small_run / "config.toml").read_text())
    assert set(config["options"]) == set(MonaiOptions.model_fields)
    again = plan(RunRequest("monai", config=small_run / "config.toml", out=tmp_path / "again"))
    assert again.options == MonaiOptions(resolution=0.4, t_end=4, output_interval=1)
    assert (again.mover, again.seed) == (config["mover"], config["seed"])
    assert not (tmp_path / "again").exists()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('seed = 3\n[options]\nt_end = "0.1 min"\nfriction = 0.01\n')
    request = RunRequest("monai", config=file, out=tmp_path, assignments=("friction=0.02",))
    assert (plan(request).options.t_end, plan(request).options.friction, plan(request).seed) == (6.0, 0.02, 3)
    assert plan(RunRequest("monai", config=file, out=tmp_path, seed=0)).seed == 0
