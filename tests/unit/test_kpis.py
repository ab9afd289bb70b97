"""KPIs: what an expression may say, what it comes to, and when a breached bound is told."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.error_stream import labelled_decider, story

from longshore.config import load
from longshore.errors import ConfigurationError
from longshore.expressions import DEEPEST, Expression
from longshore.monitor.decide import Decider, decide_all
from longshore.monitor.kpis import Kpi, KpiWatch, named_figures
from longshore.monitor.messages import KpiSeen, decode, encode
from longshore.monitor.relayed import kpis_seen
from longshore.monitor.service_decide import decider_settings
from longshore.monitor.snapshots import load_snapshot
from longshore.records import KpiValue
from longshore.schema import districts
from longshore.topics import Topics

NAMES = ("n", "rmse", "bias")
FIGURES = {"n": 100, "rmse": 2.5, "bias": -0.5}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("rmse", 2.5),
        ("n * abs(bias) + 1e1", 60.0),
        ("max(0, -bias, min(rmse, 1)) / 2", 0.5),
        ("sqrt(n) - log(1) ** 2", 10.0),
        ("rmse > 2 and not bias >= 0", 1.0),
        ("1 < rmse < 2 or n == 99", 0.0),
        ("-bias if rmse > 2 else 1 / 0", 0.5),
        ("n % 7", 2.0),
        ("1 / (rmse - 2.5)", None),
        ("log(bias)", None),
        ("bias ** 0.5", None),
        ("10 ** 60 ** 2", None),
        ("1e308 * 10", None),
    ],
)
def test_an_expression_comes_to_its_number_or_to_none(text, value):
    assert Expression(text, NAMES).value(FIGURES) == value


def test_what_is_not_defined_makes_what_uses_it_undefined():
    assert Expression("rmse + n", NAMES).value(FIGURES | {"rmse": None}) is None
    assert Expression("n if n > 1 else rmse", NAMES).value(FIGURES | {"rmse": None}) == 100.0


@pytest.mark.parametrize(
    "text",
    [
        "", "rmse +", "().__class__", "rmse.real", "n[0]", "'a' * 9", "open('x')", "__import__('os')", "max()",
        "max(n, default=1)", "max(*[n])", "lambda: 1", "[n for n in n]", "n := 1", "f'{n}'", "mape", "abs", "n @ n",
        "n << 9", "1j", "None", "n is n", "n\nn", "(" * 60 + "n" + ")" * 60 + "+" * 60 + "n", "n+" * 400 + "n",
    ],
)  # fmt: skip
def test_all_else_is_refused(text):
    with pytest.raises(ValueError):
        Expression(text, NAMES)


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_a_value_error(text):
    try:
        found = Expression(text, NAMES)
    except ValueError:
        return
    assert not any(isinstance(node, ast.Attribute) for node in ast.walk(ast.parse(text.strip(), mode="eval")))
    found.value(FIGURES)


def test_depth_has_a_limit():
    Expression("-" * (DEEPEST - 1) + "n", NAMES)
    with pytest.raises(ValueError, match="nested"):
        Expression("-" * DEEPEST + "n", NAMES)


def kpi_settings(tmp_path, text):
    file = tmp_path / "longshore.toml"
    file.write_text("[monitor.kpis]\n" + text)
    return load(file)


def test_settings_are_an_expression_or_a_table(tmp_path):
    given = kpi_settings(
        tmp_path, 'cost = "n * abs(bias)"\nworse = { expression = "rmse / rmse_then", at_most = 1.2, windows = 2 }\n'
    )
    found = decider_settings(given, districts()).kpis
    assert found["cost"].expression.text == "n * abs(bias)" and found["cost"].at_most is None
    assert (found["worse"].at_most, found["worse"].windows) == (1.2, 2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('cost = "n * mape"', ("monitor.kpis.cost.expression", "'n * mape'", "'mape' is no figure: use")),
        ('cost = "n.real"', ("monitor.kpis.cost.expression", "'n.real' is not allowed: use numbers")),
        ('Cost = "n"', ("monitor.kpis", "'Cost'", "name is a letter")),
        ('cost = { expression = "n", at_most = 1, at_least = 2 }', ("monitor.kpis.cost", "at_least is above at_most")),
        ('cost = { expression = "n", above = 2 }', ("monitor.kpis.cost.above", "unknown key")),
    ],
)
def test_a_wrong_setting_names_key_value_and_mend(tmp_path, text, named):
    with pytest.raises(ConfigurationError) as caught:
        kpi_settings(tmp_path, text)
    assert all(part in str(caught.value) for part in named), str(caught.value)


def test_a_bound_is_told_when_it_is_breached_for_its_windows_and_when_it_is_kept_for_as_many():
    watch = KpiWatch({"worse": Kpi.of("rmse / rmse_then", at_most=1.2, windows=2), "n": Kpi.of("n")})
    changes = []
    for at, rmse in enumerate((1.0, 1.5, 1.0, 1.5, 1.5, 1.5, 1.0, None, 1.5, 1.0, 1.0, 1.0)):
        found, told = watch.take({"figures": {"rmse": rmse, "n": 9}, "validation": {"rmse": 1.0}}, "v1", at)
        changes += [(at, kind, episode) for kind, episode, _ in told]
        assert found["kpis"]["worse"]["value"] == rmse and found["kpis"]["n"]["value"] == 9
        assert found["kpis"]["worse"]["breached"] == (rmse == 1.5)
    (_, _, first), (_, _, last) = changes
    assert [(at, kind) for at, kind, _ in changes] == [(4, "kpi"), (10, "kpi_over")] and first == last


def test_at_least_is_a_bound_too():
    kpi = Kpi.of("f1", at_least=0.9)
    assert kpi.breached(0.89) and not kpi.breached(0.9)
    classes = {"now": {"f1": 0.5}, "then": {"f1": 0.75}}
    assert kpi.expression.value(named_figures({"figures": {}, "classification": classes})) == 0.5
    assert Kpi.of("f1_then - f1").expression.value(named_figures({"classification": classes})) == 0.25


def with_kpis(snapshot=None):
    one = labelled_decider(snapshot, window_labels=100)
    watch = KpiWatch({"worse": Kpi.of("rmse - rmse_then", at_most=0.1, windows=2)}, snapshot and snapshot.kpis)
    one.kpis = watch
    return one


def test_the_decider_tells_of_kpis_with_the_windows_of_labels_also_across_a_restart():
    messages = list(enumerate(story()))
    whole = decide_all(with_kpis(), messages)
    (told,) = [event for event in whole.events if event.kind == "kpi"]
    assert (told.cause, told.status, told.detail["name"]) == ("kpi", "final", "worse") and told.episode
    windows = [event for event in whole.events if event.kind == "performance"]
    figures = windows[0].detail["figures"]
    assert windows[0].detail["kpis"]["worse"]["value"] < 0.1 < windows[-1].detail["kpis"]["worse"]["value"]
    assert figures["mean_prediction"] - figures["mean_label"] == pytest.approx(figures["bias"])
    cut = len(messages) * 3 // 4
    before = with_kpis()
    first = decide_all(before, messages[:cut])
    saved = load_snapshot(before.snapshot())
    after = with_kpis(saved)
    for offset, value in messages[saved.replay_from : cut]:
        after.rebuild(offset, value)
    assert isinstance(after, Decider)
    assert first.events + decide_all(after, messages[cut:]).events == whole.events


def test_a_kpi_without_an_expression_comes_from_its_topic_which_is_made_and_read_only_then(tmp_path):
    topics = Topics.of("", districts())
    without = kpi_settings(tmp_path, 'cost = "n"\n')
    assert "kpi" not in topics.to_count(without) + [spec.name for spec in topics.specs(without)]
    given = kpi_settings(tmp_path, "deals = { at_least = 100, windows = 2 }\n")
    assert "kpi" in topics.to_count(given) and "kpi" in [spec.name for spec in topics.specs(given)]
    found = decider_settings(given, districts()).kpis["deals"]
    assert (found.expression, found.at_least, found.windows) == (None, 100, 2)


def test_measured_values_are_told_like_windows_and_names_nobody_watches_are_not():
    watch = KpiWatch({"deals": Kpi.of(None, at_least=100, windows=2), "n": Kpi.of("n", at_most=1, windows=1)})
    changes = []
    for at, value in enumerate((120.0, 90.0, 120.0, 90.0, 80.0, 70.0, 120.0, 110.0, 120.0)):
        for name in ("deals", "n", "profit"):
            changes += watch.measured(KpiValue(name, value, at), at)
    (first, begun, said), (over, ended, _) = changes
    assert (first, over, said["since"], said["value"], said["at_least"]) == ("kpi", "kpi_over", 4, 80.0, 100)
    assert begun == ended and watch.state["deals"].value == 120.0 and set(watch.state) == {"deals"}
    assert watch.take({"figures": {"n": 0}}, "v1", 0)[0] == {
        "kpis": {"n": {"value": 0, "at_most": 1, "at_least": None, "breached": False}}
    }


def test_two_episodes_at_one_time_are_two_and_a_kpi_taken_away_is_forgotten():
    watch = KpiWatch({"deals": Kpi.of(None, at_least=5, windows=1)})
    told = [change for at, value in enumerate((1, 9, 1)) for change in watch.measured(KpiValue("deals", value, 0), at)]
    assert [kind for kind, *_ in told] == ["kpi", "kpi_over", "kpi"] and told[0][1] != told[2][1]
    assert not KpiWatch({}, watch.state).state


def test_what_is_no_value_of_a_kpi_is_left_out_and_the_rest_is_not():
    good = b'{"name": "deals", "value": 3, "time": 7, "unit": "a day"}'
    deals = b'{"name": "deals", "value": %s, "time": 1}'
    bad = [
        None,
        b"",
        b"[]",
        b'{"name": "%s", "value": 3, "time": 1}' % (b"n" * 41),
        deals % b"NaN",
        deals % b"1e999",
        deals % b'"3"',
        b'{"value": 3, "time": 1}',
        b"\xff",
    ]
    assert kpis_seen([*bad, good, *bad]) == [KpiSeen(KpiValue("deals", 3.0, 7))]
    assert decode(encode(KpiSeen(KpiValue("deals", 3.0, 7)))) == KpiSeen(KpiValue("deals", 3.0, 7))


def test_the_decider_tells_of_measured_kpis_once_also_across_a_restart():
    values = [encode(KpiSeen(KpiValue("deals", value, at))) for at, value in enumerate((9.0, 1.0, 1.0, 1.0, 9.0, 9.0))]
    messages = list(enumerate([*story()[:8], *values]))

    def decider(snapshot=None):
        one = labelled_decider(snapshot, window_labels=100)
        one.kpis = KpiWatch({"deals": Kpi.of(None, at_least=5, windows=2)}, snapshot and snapshot.kpis)
        return one

    whole = decide_all(decider(), messages)
    told = [(event.kind, event.cause, event.detail["name"], event.detail["since"]) for event in whole.events
            if event.cause == "kpi"]  # fmt: skip
    assert told == [("kpi", "kpi", "deals", 2), ("kpi_over", "kpi", "deals", 5)] and not whole.requests
    for cut in range(8, len(messages)):
        before = decider()
        first = decide_all(before, messages[:cut])
        after = decider(load_snapshot(before.snapshot()))
        rest = decide_all(after, messages[cut - 1 :])
        both = first.events + rest.events
        assert [e for e in both if e.cause == "kpi"] == [e for e in whole.events if e.cause == "kpi"]
