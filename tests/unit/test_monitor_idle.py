"""A partition is idle only when nothing can be on its way to it; and then it holds nothing back."""

from longshore.monitor.idle import IdleJudge
from longshore.monitor.watermark import Watermark


def test_silence_alone_is_no_proof_while_the_scorer_stands_still():
    judge = IdleJudge(idle_after_s=5)
    assert judge.suspects(0, {0: True}) == []
    assert judge.suspects(6, {0: True}) == [0]
    assert judge.idle([0], {0: 10}, {0: 7}, 6) == []
    assert judge.idle([0], {0: 10}, {0: 7}, 60) == []


def test_proof_is_that_all_produced_before_the_silence_was_scored():
    judge = IdleJudge(idle_after_s=5)
    judge.suspects(0, {0: True})
    judge.idle([0], {0: 10, 1: 4}, {0: 7, 1: 4}, 6)
    assert judge.idle([0], {0: 99, 1: 50}, {0: 10, 1: 4}, 7) == [0], "records produced since do not matter"
    assert judge.suspects(8, {0: True}) == [], "a mark is renewed after another silence, not at once"


def test_a_record_in_between_ends_the_proof():
    judge = IdleJudge(idle_after_s=5)
    judge.suspects(0, {0: True})
    judge.idle([0], {0: 10}, {0: 7}, 6)
    judge.hear(0, 6.5)
    assert judge.suspects(7, {0: True}) == []
    judge.suspects(12, {0: True})
    assert judge.idle([0], {0: 12}, {0: 12}, 12) == [], "the proof begins anew"


def test_a_partition_with_unread_records_is_no_suspect():
    judge = IdleJudge(idle_after_s=5)
    judge.suspects(0, {0: False})
    assert judge.suspects(100, {0: False}) == []


def test_the_watermark_waits_for_every_partition():
    watermark = Watermark()
    watermark.advance(0, 5_000, 3)
    watermark.advance(2, 9_000, 3)
    assert watermark.current() is None
    watermark.follow(1, 3)
    assert watermark.current() == 5_000
    watermark.advance(0, 20_000, 3)
    assert watermark.current() == 9_000, "an idle partition follows only as far as the others had come by then"
    watermark.advance(2, 1, 3)
    assert watermark.current() == 9_000, "it never goes back"
