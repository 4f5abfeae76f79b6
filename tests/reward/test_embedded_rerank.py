"""The embedded bot under the gate, with one draw and with the best of several: the same questions, unseen clusters.

How much it helps is for `python -m tests.benchmarks.rerank` to say; six questions show nothing.
"""

from __future__ import annotations

from pathlib import Path

from reward import pairs, training
from reward.model import load
from reward.pairs import TEMPLATE
from reward.scoring import best_of_n
from tests.benchmarks.rerank import ask, compare, corrected, questions
from tests.polyglot import OWN

DRAW = "tests.benchmarks.rerank:draw"


def test_the_best_of_three_draws_is_compared_with_one_on_clusters_that_gave_no_record(
    tmp_path: Path, bert: Path
) -> None:
    learning, testing = questions(200, 200)
    asked = [probe for probe in testing if probe.language in OWN][:6]

    drawn = ask("tests.polyglot:build", learning[:60], tmp_path / "drawn")
    settings = training.Settings(str(bert), folds=2, epochs=1)
    training.train(pairs.make(list(corrected(drawn))).pairs, tmp_path / "model", settings)
    before = ask(DRAW, asked, tmp_path / "before")
    after = ask(
        f'reward.scoring:best_of_n(model="{DRAW}", n=3, reward="{tmp_path / "model"}")', asked, tmp_path / "after"
    )

    assert {case.probe for case in before} == {case.probe for case in after} == {probe.id for probe in asked}
    assert not {case.cluster for case in drawn} & {case.cluster for case in after}
    change = compare(before, after)
    assert change.probes == len(asked)
    assert change.before - change.after == change.mended - change.broken
    assert all(case.contexts for case in after)
    # What it answered is the draw with the highest reward, and the first draw is what it answered before.
    scorer = load(tmp_path / "model")
    bot = best_of_n(model=DRAW, reward=str(tmp_path / "model"), n=3)
    first = {case.probe: case.answer for case in before}
    for best in after[:2]:
        candidates = [one.text for one in bot.candidates(best.question)]
        rewards = scorer.score([TEMPLATE.format(instruction=best.question, response=text) for text in candidates])
        assert candidates[0] == first[best.probe]
        assert best.answer == candidates[int(rewards.argmax())]
