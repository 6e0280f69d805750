"""Presets, TOML files and overrides: what is accepted comes back the same, and what is not gets a sentence."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airctl.config import PRESETS, Config, CountConfig, dumps, load, override, preset, settings
from airctl.config.merge import ADDED
from airctl.errors import ConfigError, InputFileError

KEYS = [
    f"{section.name}.{field.name}"
    for section in dataclasses.fields(Config)
    if section.name != "preset"
    for field in dataclasses.fields(getattr(Config(), section.name))
]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "config.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def value_of(config: Config, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_from_its_file(tmp_path: Path, name: str) -> None:
    """load(dumps(config)) == config for each preset, every field and type included."""
    assert preset(name).preset == name
    again = load(written(tmp_path, dumps(preset(name))))
    assert again == preset(name)
    assert [type(value_of(again, key)) for key in KEYS] == [type(value_of(preset(name), key)) for key in KEYS]


@pytest.mark.parametrize("key", KEYS)
def test_the_round_trip_sees_each_lost_field(tmp_path: Path, key: str) -> None:
    """Negative control: without its line, a field is the base's, or an older run's; so dumps leaves out none."""
    section, name = key.split(".")
    base = Config()
    changed = {int: 7, float: 0.25, str: "other", tuple: (9.0, 9.0, 9.0)}[type(value_of(base, key))]
    base = dataclasses.replace(base, **{section: dataclasses.replace(getattr(base, section), **{name: changed})})
    lines = dumps(preset("recurrent")).splitlines()
    line = next(i for i in range(lines.index(f"[{section}]"), len(lines)) if lines[i].startswith(f"{name} = "))
    rest = lines[:line] + lines[line + 1 :]
    assert value_of(load(written(tmp_path, "\n".join(rest)), base), key) == ADDED.get(key, changed)
    assert load(written(tmp_path, "\n".join(lines)), base) == preset("recurrent")


def test_an_overridden_config_comes_back_from_its_file(tmp_path: Path) -> None:
    """The run folder's config is the resolved one, not the preset that it started from."""
    config = override(
        preset("report-2019"), ["optimiser.lr=1e-5", "count.probability=1e-30", "train.seed=9223372036854775807"]
    )
    assert load(written(tmp_path, dumps(config))) == config


@given(
    st.floats(1e-30, 1.0),
    st.integers(0, 2**63 - 1),
    st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3),
    st.floats(0, allow_nan=False),
)
def test_any_number_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, count: float, seed: int, loc: tuple[float, float, float], clip: float
) -> None:
    """Tiny, huge and infinite numbers survive being written as TOML and read again."""
    config = Config()
    config = dataclasses.replace(
        config,
        prior=dataclasses.replace(config.prior, where_loc=loc),
        count=dataclasses.replace(config.count, probability=count),
        train=dataclasses.replace(config.train, seed=seed),
        optimiser=dataclasses.replace(config.optimiser, clip=clip),
    )
    assert load(written(tmp_path_factory.mktemp("config"), dumps(config))) == config


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("network.hidden=512", 512),
        ("optimiser.lr=3e-4", 3e-4),
        ("optimiser.lr=1", 1.0),
        ("optimiser.clip=7", 7.0),
        ("model.decoder_bias=-1.5", -1.5),
        ("network.embedding=raw", "raw"),
        ('network.embedding="raw"', "raw"),
        ("prior.where_loc=[2, 0.5, -0.5]", (2.0, 0.5, -0.5)),
        (" train.seed = 7 ", 7),
    ],
)
def test_override_sets_a_value_of_each_type(setting: str, expected: object) -> None:
    """The value arrives with the field's own type, and nothing else changes."""
    key = setting.partition("=")[0].strip()
    config = override(Config(), [setting])
    assert value_of(config, key) == expected
    assert type(value_of(config, key)) is type(expected)
    assert [other for other in KEYS if value_of(config, other) != value_of(Config(), other)] == [key]


def test_later_overrides_win_and_the_base_stays_as_it_was() -> None:
    """Settings apply in their order, to a copy."""
    base = Config()
    assert override(base, ["network.hidden=1", "network.hidden=2", "model.what=9"]).network.hidden == 2
    assert base == Config()


def test_a_files_values_stand_over_the_preset_it_names(tmp_path: Path) -> None:
    """A file names its preset and what departs from it; without a name it starts from fast."""
    config = load(written(tmp_path, 'preset = "paper"\n[network]\nhidden = 32\n'))
    assert config == override(preset("paper"), ["network.hidden=32"])
    assert load(written(tmp_path, "[network]\nhidden = 32\n")) == override(preset("fast"), ["network.hidden=32"])


OLD = """preset = "fast"
[model]
canvas = 50
hidden = 512
predict_hidden = 100
embedding = "raw"
attention_input = "residual"
present_bias = 1.0
where_sd_max = 0.5
likelihood_sd = 0.2
[prior]
count = 0.001
count_start = 0.5
count_anneal = "linear"
count_anneal_steps = 7
"""


def test_the_keys_of_older_versions_arrive_under_their_new_names(tmp_path: Path) -> None:
    """A config.toml of the last release loads, and so do its keys after --set; a new name wins over the old one."""
    config = load(written(tmp_path, OLD))
    assert config.preset == "recurrent"
    assert (config.network.hidden, config.network.predict_hidden, config.network.embedding) == (512, 100, "raw")
    assert (config.network.attention_input, config.network.present_bias) == ("residual", 1.0)
    assert (config.posterior.where_sd_max, config.likelihood.sd) == (0.5, 0.2)
    assert config.count == CountConfig("geometric", 0.001, 0.5, "linear", 7)
    assert override(Config(), ["network.hidden=3"]).network.hidden == 3
    assert load(written(tmp_path, "[model]\nhidden = 3\n[network]\nhidden = 4\n")).network.hidden == 4


def test_settings_are_all_values_by_their_keys() -> None:
    """One entry a key, with the value of the config that was asked."""
    values = settings(override(Config(), ["model.what=9"]))
    assert list(values) == KEYS
    assert values["model.what"] == 9


def test_a_files_values_stand_over_a_given_base(tmp_path: Path) -> None:
    """With a base, the file changes what it names and keeps the rest."""
    base = override(preset("paper"), ["train.seed=5"])
    assert load(written(tmp_path, "[network]\nhidden = 32\n"), base) == override(base, ["network.hidden=32"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("network.hiden=3", r"no config key network\.hiden: did you mean 'network\.hidden'"),
        ("modle.hidden=3", r"no config section 'modle'"),
        ("hidden=3", r"no config section 'hidden': did you mean 'network\.hidden'"),
        ("optimiser.estimator=exact", r"no config key optimiser\.estimator: did you mean 'objective\.estimator'"),
        pytest.param("train.lr=1", r"no config key train\.lr: did you mean 'optimiser\.lr'"),
        pytest.param("optimiser.seed=3", r"no config key optimiser\.seed: did you mean 'train\.seed'"),
        ("zzz.qqq=3", r"no config section 'zzz': sections are count, likelihood, model"),
        ("network.hidden", r"expected KEY=VALUE"),
        ("model=3", r"model is a section: expected model\.KEY=VALUE"),
        ("network.hidden=big", r"network\.hidden = 'big': expected a whole number"),
        ("network.hidden=3.5", r"network\.hidden = 3\.5: expected a whole number"),
        ("network.hidden=true", r"network\.hidden = True: expected a whole number"),
        ("network.hidden=0", r"network\.hidden = 0: expected at least 1 and at most 8192"),
        ("network.hidden=8193", r"expected at least 1 and at most 8192"),
        ("model.canvas=-1", r"model\.canvas = -1: expected at least 0"),
        ("train.steps=-1", r"train\.steps = -1: expected at least 0$"),
        ("optimiser.lr=fast", r"optimiser\.lr = 'fast': expected a number"),
        ("optimiser.lr=true", r"optimiser\.lr = True: expected a number"),
        ("optimiser.lr=nan", r"optimiser\.lr = nan: expected a number"),
        ("optimiser.lr=-1", r"optimiser\.lr = -1\.0: expected at least 0"),
        ("count.probability=0", r"count\.probability = 0\.0: expected at least 1e-30 and at most 1"),
        ("count.probability=1.1", r"expected at least 1e-30 and at most 1"),
        ("likelihood.sd=0", r"likelihood\.sd = 0\.0: expected at least"),
        ("count.anneal=never", r"count\.anneal = 'never': expected one of exponential, linear, none"),
        ("network.embedding=3", r"network\.embedding = 3: expected a word"),
        ("objective.estimator=3", r"objective\.estimator = 3: expected a word"),
        ("prior.where_loc=3", r"prior\.where_loc = 3: expected three numbers"),
        ("prior.where_loc=[1, 2]", r"expected three numbers"),
        ("prior.where_loc=[1, 2, nan]", r"expected three numbers"),
        ("prior.where_loc=[1, 2, true]", r"expected three numbers"),
        ("prior.where_scale=[0.1, 1, 0]", r"standard deviations must be above 0"),
    ],
)
def test_a_wrong_setting_gets_a_sentence(setting: str, message: str) -> None:
    """Misspelt names are answered with the nearest one, wrong types and ranges with what was expected."""
    with pytest.raises(ConfigError, match=message) as error:
        override(Config(), [setting])
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def test_a_misspelt_preset_gets_the_nearest_name(tmp_path: Path) -> None:
    """By function and by file, with the known ones where none is near."""
    with pytest.raises(ConfigError, match=r"no preset 'papr': did you mean 'paper'"):
        preset("papr")
    with pytest.raises(
        ConfigError, match=r"no preset 'zzz': known are fast, paper, recurrent, report-2019, report-2019-annealed"
    ):
        preset("zzz")
    with pytest.raises(ConfigError, match=r"did you mean 'paper'"):
        load(written(tmp_path, 'preset = "papr"'))
    with pytest.raises(ConfigError, match=r"there is no preset '3'"):
        load(written(tmp_path, "preset = 3"))


def test_a_file_of_another_preset_than_asked_for_is_refused(tmp_path: Path) -> None:
    """Two presets at once cannot be meant; the same one twice can."""
    path = written(tmp_path, 'preset = "paper"')
    assert load(path, preset("paper")) == preset("paper")
    with pytest.raises(ConfigError, match=r"says preset 'paper', but 'recurrent' was asked for"):
        load(path, preset("recurrent"))


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    """Of several files, the user learns which one to mend."""
    with pytest.raises(ConfigError, match=r"config\.toml: there is no config key model\.whatt: did you mean"):
        load(written(tmp_path, "[model]\nwhatt = 3\n"))
    with pytest.raises(ConfigError, match=r"config\.toml: model is a section"):
        load(written(tmp_path, "model = 3\n"))


@pytest.mark.parametrize(
    "content",
    [b"[model\nhidden", b"\xff\xfe\x00", b"a = 1\na = 2", b"a = " + b"[" * 100_000, b"\x89HDF\r\n\x1a\n" * 9],
    ids=["open bracket", "not UTF-8", "twice", "nested", "HDF5"],
)
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    """Garbage is one InputFileError that names the file, whatever the parser raised."""
    with pytest.raises(InputFileError, match=r"config\.toml cannot be read as a TOML config") as error:
        load(written(tmp_path, content))
    assert error.value.exit_code == 3


def test_an_oversize_file_is_refused_unread(tmp_path: Path) -> None:
    """A megabyte is no config, even where every line of it is a comment; just below it is read."""
    with pytest.raises(InputFileError, match="too large"):
        load(written(tmp_path, b"#" * ((1 << 20) + 1)))
    assert load(written(tmp_path, b"#" * (1 << 20))) == preset("fast")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    """The error names what was to be read."""
    with pytest.raises(InputFileError, match="cannot be read as a TOML config"):
        load(tmp_path / name)


values = st.one_of(
    st.text(),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["[", "{", '"', "'", "'''", "1979-05-27", "0x", "[[]]", "{a=1}", "\n[x]", "#", "[1,2,3]", ""]),
)


@given(st.one_of(st.text(), st.tuples(st.one_of(st.sampled_from(KEYS), st.text()), values).map("=".join)))
@example("=")
@example("model.=1")
@example(".hidden=1")
@example("model={}")
@example('network.hidden="\x00"')
@example("network.hidden=\udc80")
def test_an_arbitrary_setting_is_accepted_or_a_config_error(setting: str) -> None:
    """Whatever a user types after --set, the only error is ConfigError, and what is accepted can be written down."""
    try:
        config = override(Config(), [setting])
    except ConfigError:
        return
    assert dumps(config)


HUGE = [
    "network.hidden=" + "1" * 5000,
    "network.hidden=0x" + "f" * 5000,
    "train.steps=0x" + "f" * 5000,
    "optimiser.lr=1" + "0" * 400,
    "prior.where_loc=[1" + "0" * 400 + ", 0, 0]",
]


@pytest.mark.parametrize("setting", HUGE, ids=["decimal", "hexadecimal", "unbounded key", "float", "tuple"])
def test_a_number_beyond_any_use_is_refused(setting: str) -> None:
    """Numbers that Python will not convert or print are a ConfigError like any other."""
    with pytest.raises(ConfigError):
        override(Config(), [setting])


def test_a_number_beyond_any_use_in_a_file_is_refused(tmp_path: Path) -> None:
    """The same number in a file is refused as that file's fault."""
    with pytest.raises((InputFileError, ConfigError), match=r"config\.toml"):
        load(written(tmp_path, "[model]\nhidden = " + "1" * 5000))


@pytest.mark.parametrize(
    "word",
    ['a"b\\c', "é✓", "a\nb", "\x7f\x00\t"],
)
def test_any_word_comes_back_from_its_file(tmp_path: Path, word: str) -> None:
    """Quotes, newlines and control characters in a word are escaped as TOML wants it."""
    config = Config()
    config = dataclasses.replace(config, objective=dataclasses.replace(config.objective, estimator=word))
    assert load(written(tmp_path, dumps(config))) == config


@pytest.mark.parametrize("name", PRESETS)
def test_comments_change_nothing_that_is_read(tmp_path: Path, name: str) -> None:
    """The commented file of ``airctl config`` reads back as the preset, and its other lines are the plain file."""
    text = dumps(preset(name), comments=True)
    assert load(written(tmp_path, text)) == preset(name)
    assert [line for line in text.splitlines() if not line.startswith("#")] == dumps(preset(name)).splitlines()


def test_each_key_and_section_is_explained() -> None:
    """Above each key stands one line that says what it means, and names the words that it can be."""
    lines = dumps(Config(), comments=True).splitlines()
    for above, line in itertools.pairwise(lines):
        if line.startswith("[") or " = " in line.split("#")[0]:
            assert line.startswith("preset") or above.startswith("# "), line
    assert lines[lines.index('anneal = "exponential"') - 1].endswith("(exponential, linear, none)")
