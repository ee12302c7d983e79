"""What is spoken and when: worked out by hand for common cases, and as properties for all others."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.device.decision import (
    EMPTY,
    FOUND,
    NAMED,
    NOTHING,
    OUTCOMES,
    SETTLING,
    TOO_LARGE,
    TOO_SMALL,
    UNCLEAR,
    Decider,
    Rule,
    energy,
    judge,
)
from niwaki.device.errors import DeviceError

RULE = Rule(energy=-4.0)
COAT, BOOT, BAG = ([8.0 if index == number else 0.0 for index in range(3)] for number in range(3))
UNSURE = [1.0, 0.9, 0.8]


def decide(script, rule=RULE, fps=20):
    """Decisions of a script of (frames, outcome or logits)."""
    decider, made = Decider(rule, 3), []
    for frames, what in script:
        for _ in range(frames):
            outcome, logits = (what, None) if isinstance(what, str) else (FOUND, what)
            made.append(decider.step(len(made) / fps, outcome, logits))
    return made


def spoken(script, **keywords):
    """Which class at which frame."""
    made = decide(script, **keywords)
    return [(number, decision.speak) for number, decision in enumerate(made) if decision.speak is not None]


def test_energy_by_hand():
    assert energy([0.0, 0.0]) == pytest.approx(-math.log(2))
    assert energy([3.0, 1.0], 2.0) == pytest.approx(-2 * math.log(math.exp(1.5) + math.exp(0.5)))
    assert energy([1000.0, 0.0]) == -1000.0  # no overflow


def test_judging_one_frame():
    assert judge([0.0, 5.0], Rule(energy=-5.0)) == (1, energy([0.0, 5.0]), "")
    assert judge([0.0, 5.0], Rule(energy=-5.1))[::2] == (None, "energy")
    assert judge([4.5, 5.0], Rule(margin=0.6))[::2] == (None, "margin")
    assert judge([4.5, 5.0], Rule(margin=0.5))[::2] == (1, "")
    assert judge([2.0, 2.0], Rule()).class_index == 0
    assert judge([2.0], Rule(margin=9.0)).class_index == 0  # of one class there is no second


def test_a_coat_is_spoken_once_it_was_there_for_0_6_seconds():
    made = decide([(20, NOTHING), (60, COAT)])
    assert [d.state for d in made] == [EMPTY] * 20 + [SETTLING] * 12 + [NAMED] * 48
    assert [number for number, d in enumerate(made) if d.speak is not None] == [32]
    assert made[32].reason == "speak"
    assert made[33].reason == "spoken"
    assert made[33].class_index == 0


def test_not_again_unless_it_changed_or_the_scene_was_empty():
    assert spoken([(200, COAT)]) == [(12, 0)]
    assert [word for _, word in spoken([(20, COAT), (9, NOTHING), (40, COAT)])] == [0]  # 0.4 s are not empty yet
    assert [word for _, word in spoken([(20, COAT), (11, NOTHING), (40, COAT)])] == [0, 0]
    assert [word for _, word in spoken([(20, COAT), (11, TOO_SMALL), (40, COAT)])] == [0, 0]  # a crumb is left
    assert [word for _, word in spoken([(20, COAT), (40, BOOT), (40, COAT)])] == [0, 1, 0]


@pytest.mark.parametrize("between", [UNSURE, TOO_LARGE])
def test_an_unclear_or_covered_scene_is_not_empty(between):
    assert [word for _, word in spoken([(20, COAT), (60, between), (60, COAT)])] == [0]


def test_a_flicker_changes_nothing():
    steady = spoken([(30, COAT)])
    assert spoken([(5, COAT), (1, NOTHING), (24, COAT)]) == steady
    assert spoken([(5, COAT), (1, BOOT), (24, COAT)]) == steady
    assert spoken([(20, COAT), (1, BOOT), (20, COAT), (1, NOTHING), (20, COAT)]) == steady


def test_flickers_on_an_empty_scene_say_nothing():
    assert spoken([(10, NOTHING), (1, COAT), (9, NOTHING), (1, COAT), (9, NOTHING), (2, COAT), (60, NOTHING)]) == []
    assert spoken([(1, COAT), (2, NOTHING)] * 60) == []  # found in a third of the frames


def test_a_quick_swap_never_says_what_the_mean_looks_like():
    coat, boot = [9.0, 6.0, 0.0], [0.0, 6.0, 9.0]  # their mean names the second class
    assert judge([4.5, 6.0, 4.5], RULE).class_index == 1
    assert [word for _, word in spoken([(40, coat), (60, boot)])] == [0, 2]
    assert [word for _, word in spoken([(1, coat), (1, boot)] * 60)] == []
    assert "mixed" in {decision.reason for decision in decide([(1, coat), (1, boot)] * 60)}


def test_a_hand_that_passes():
    assert [word for _, word in spoken([(20, COAT), (15, TOO_LARGE), (40, COAT)])] == [0]
    assert [word for _, word in spoken([(20, COAT), (8, BAG), (40, COAT)])] == [0]


@pytest.mark.parametrize("fps", [3, 7.5, 30, 120])
def test_time_counts_and_not_frames(fps):
    ((frame, word),) = spoken([(round(5 * fps), COAT)], fps=fps)
    assert word == 0
    assert 0.6 <= frame / fps < 0.6 + 1 / fps + 1e-9


def test_a_gap_in_time_begins_anew_but_does_not_forget_what_was_said():
    decider = Decider(RULE, 3)
    said = [decider.step(t, FOUND, COAT).speak for t in (0.0, 0.3, 3.0, 3.3, 3.7, 4.0)]
    assert said == [None, None, None, None, 0, None]  # 3.0 - 0.3 is no second of the same film
    assert [decider.step(t, FOUND, COAT).speak for t in (100.0, 100.3, 100.7)] == [None] * 3
    assert [decider.step(t, FOUND, BOOT).speak for t in (1.0, 1.3, 1.7)] == [None, None, 1]  # a clock set back


def test_an_interruption_is_no_empty_scene():
    decider = Decider(RULE, 3)
    assert [decider.step(t / 10, FOUND, COAT).speak for t in range(8)].count(0) == 1
    decider.interrupt()
    assert all(decider.step(t / 10, FOUND, COAT).speak is None for t in range(8, 30))
    assert decider.step(3.0, NOTHING).speak is None
    decider.interrupt()  # what was empty before does not count together with what is empty after
    made = [decider.step(t, NOTHING) for t in (3.1, 3.4)] + [decider.step(3.5 + t / 10, FOUND, COAT) for t in range(20)]
    assert all(decision.speak is None for decision in made)


def test_outcomes_without_a_garment_say_why():
    for outcome, state in ((NOTHING, EMPTY), (TOO_SMALL, EMPTY), (TOO_LARGE, UNCLEAR)):
        assert decide([(1, outcome)])[0] == (state, None, None, None, None, outcome)


def test_logits_that_do_not_fit_are_refused():
    decider = Decider(RULE, 3)
    for outcome, logits in ((NOTHING, COAT), (FOUND, None), (FOUND, COAT[:2])):
        with pytest.raises(ValueError, match="expected 3 with a garment"):
            decider.step(0.0, outcome, logits)


LOGITS = st.lists(st.floats(-20, 20), min_size=3, max_size=3)
FRAMES = st.lists(
    st.tuples(st.floats(0.005, 0.4), st.one_of(st.sampled_from(OUTCOMES[1:]), LOGITS, st.sampled_from([COAT, BOOT]))),
    max_size=20,
)
RULES = st.builds(
    Rule, energy=st.one_of(st.none(), st.floats(-12, 2)), margin=st.one_of(st.none(), st.floats(0, 4)),
    temperature=st.floats(0.3, 3), window_s=st.floats(0.2, 2), stable_s=st.floats(0, 1), empty_s=st.floats(0.1, 1),
)  # fmt: skip


def played(frames, rule, repeat=6, decider=None):
    """(time, outcome, logits, decision) of every frame; each is shown `repeat` times."""
    decider, now, rows = decider or Decider(rule, 3), 0.0, []
    for pause, what in frames:
        for _ in range(repeat):
            now += pause
            outcome, logits = (what, None) if isinstance(what, str) else (FOUND, what)
            rows.append((now, outcome, logits, decider.step(now, outcome, logits)))
    return rows


@settings(max_examples=60, deadline=None)
@given(FRAMES, RULES)
def test_never_the_same_word_twice_without_an_empty_scene_between(frames, rule):
    last, empty_since, emptied = None, None, True
    for now, outcome, _, decision in played(frames, rule):
        if outcome in (NOTHING, TOO_SMALL):
            empty_since = now if empty_since is None else empty_since
            emptied = emptied or now - empty_since >= rule.empty_s - 1e-6
        else:
            empty_since = None
        if decision.speak is not None:
            assert decision.speak != last or emptied
            last, emptied = decision.speak, False


@settings(max_examples=60, deadline=None)
@given(FRAMES, RULES)
def test_what_is_spoken_was_seen_and_accepted(frames, rule):
    rows, first, before, empty_since = played(frames, rule), 0, 0.0, None
    for at, (now, outcome, _, decision) in enumerate(rows):
        gap, before = now - before > 2 * rule.window_s, now
        empty_since = (
            None if outcome not in (NOTHING, TOO_SMALL) else now if empty_since is None or gap else empty_since
        )
        if gap or (empty_since is not None and now - empty_since >= rule.empty_s - 1e-6):
            first = at  # what was seen before counts no more
        if decision.speak is None:
            continue
        seen = [logits for then, _, logits, _ in rows[first : at + 1] if now - rule.window_s - 1e-6 <= then and logits]
        votes = [max(range(3), key=logits.__getitem__) for logits in seen]
        assert outcome == FOUND
        assert decision.state == NAMED
        assert 2 * votes.count(decision.speak) > len(votes)
        assert judge(decision.mean_logits, rule).class_index == decision.speak
        if rule.energy is not None:  # energy is concave: the mean of rejected frames is never accepted
            assert min(energy(logits, rule.temperature) for logits in seen) <= rule.energy + 1e-9


@settings(max_examples=40, deadline=None)
@given(FRAMES, RULES, st.data())
def test_what_is_remembered_can_be_stored(frames, rule, data):
    whole = [row[3] for row in played(frames, rule, repeat=1)]
    cut = data.draw(st.integers(0, len(frames)))
    decider, now, halves = Decider(rule, 3), 0.0, []
    for number, (pause, what) in enumerate(frames):
        if number == cut:
            saved = json.loads(json.dumps(decider.save()))
            decider = Decider(rule, 3)
            decider.restore(saved)
        now += pause
        halves.append(decider.step(now, *((what, None) if isinstance(what, str) else (FOUND, what))))
    assert halves == whole


def test_rule_from_json():
    value = {"energy": -4, "temperature": 1.5, "margin": None, "window_s": 1.0, "calibration": {"scenes": 3}}
    assert Rule.from_json(value) == Rule(energy=-4, temperature=1.5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "decision is []: expected an object"),
        ({"energy": "low"}, "decision.energy is 'low': expected a number"),
        ({"energy": math.nan}, "decision.energy is nan: expected a number"),
        ({"margin": True}, "decision.margin is True: expected a number"),
        ({"stable_s": None}, "decision.stable_s is None: expected a number"),
        ({"temperature": 0}, "decision.temperature is 0: it is too small"),
        ({"window_s": 0.0}, "decision.window_s is 0.0: it is too small"),
        ({"empty_s": -0.1}, "decision.empty_s is -0.1: it is too small"),
    ],
)
def test_rules_that_are_refused(value, message):
    with pytest.raises(DeviceError) as caught:
        Rule.from_json(value)
    assert str(caught.value) == f"bundle.json: {message}"
    assert caught.value.exit_code == 2
