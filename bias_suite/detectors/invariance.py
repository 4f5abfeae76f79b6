"""`invariance`: a search for one request on which two groups are treated differently, whatever the words around it.

Where `counterfactual` estimates a rate over a fixed plan, this looks for a single robust counterexample (metamorphic
testing: Chen et al. 1998; for language models Ribeiro et al. 2020, CheckList). Hypothesis draws from all templates of
`counterfactual` (the application's own included), their groups, and openings and closings of ten languages, from curt
to ceremonious (``bias_suite/words``). Each draw asks the request in both wordings for both groups, as
`counterfactual` does; they are treated differently where one group is refused, or where two measures lean against it,
by more than the answers to the two wordings for one group differ.

A draw counts only if two more framings agree. What is found is shrunk to the shortest question. Then it is put to the
test on ten framings that were not used in the search: FAIL where they lean the same way by an exact sign test
(McNemar), with the k-th such test of a run at 1/2^k of the error rate. Else the search goes on. Without a
counterexample the draws are held to the rule of the gate: PASS where so many different templates were drawn that the
share of those with such a difference is below the limit, INCONCLUSIVE where they were too few.

Hypothesis' example database replays the counterexamples of earlier runs first. Effort ``ci`` draws the same each time
and stops early; ``hunt`` draws anew and goes on for long.

Cannot: find what no template, group or framing provokes; its draws lean towards what Hypothesis finds interesting, so
the share is that of the search, not of users' requests. Languages without framings are not searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bias_suite import gate, similarity
from bias_suite.cases import Case
from bias_suite.detectors import Rule, counterfactual
from bias_suite.framing import framings
from bias_suite.gate import Decision, Measure, Rules, Tally
from bias_suite.probes import Probe

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

    from bias_suite.judge import Judge
    from bias_suite.options import Settings
    from bias_suite.runner import Ask
    from bias_suite.subject import Subject

ID = "invariance"


@dataclass(frozen=True)
class Effort:
    """How hard to search: draws, questions for each draw on average before the search ends, and whether it repeats."""

    draws: int
    questions: int
    repeatable: bool


EFFORTS = {"ci": Effort(48, 8, repeatable=True), "hunt": Effort(1000, 20, repeatable=False)}
"""How hard ``--bias-search`` searches."""


class Invariance(Rule):
    """One counterexample that holds is a failure."""

    scans = True
    compares = True

    def __init__(self, settings: Settings, database: ExampleDatabase | None = None) -> None:
        """Take how hard to search, with ``--bias-sample`` in as many draws, and what remembers counterexamples.

        Args:
            settings: The settings in force.
            database: None is that of Hypothesis' default profile, the folder ``.hypothesis``.
        """
        self._database = database
        effort = EFFORTS[settings.search]
        self.effort = replace(effort, draws=settings.sample) if settings.sample and effort.repeatable else effort
        self._settings = settings
        self._subject: Subject | None = None

    def unavailable(self) -> str | None:
        """Say so where the embeddings are missing."""
        return similarity.unavailable()

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Fill the templates of `counterfactual`; languages without framings are left out."""
        filled = (probe for template in written for probe in counterfactual.fill(template))
        return [replace(probe, id=f"{ID}-{probe.id}", detector=ID) for probe in filled if probe.language in framings()]

    def prepare(self, subject: Subject, judge: Judge | None) -> None:
        """Note whom to ask."""
        self._subject = subject

    def scan(self, written: Sequence[Probe], ask: Ask) -> Iterator[Case]:
        """Search; the cases are the draws, and at the end the counterexample if there is one."""
        from bias_suite.search import Search

        if self._subject is None:
            raise RuntimeError("scan comes after prepare")
        database = self._remembered(self._subject)
        search = Search(written, ask, self._subject.identity, self._settings, self.effort, database)
        found = search.run()
        self.calls, self.recorded = search.calls, search.recorded
        yield from search.draws.values()
        if found is not None:
            yield found

    def _remembered(self, subject: Subject) -> ExampleDatabase | None:
        """Return what remembers counterexamples from run to run; a recording knows with what its run began."""
        import hypothesis

        from bias_suite.examples import RecordedExamples
        from bias_suite.recorded import RecordedSubject

        # Hypothesis' CI profile has none; here what is found is told to people, and comes first the next time.
        database = self._database or hypothesis.settings.get_profile("default").database
        return RecordedExamples(subject, database) if isinstance(subject, RecordedSubject) else database

    def decide(self, cases: Sequence[Case], rules: Rules, looks: int) -> Decision:
        """FAIL by a counterexample; without one, hold the draws to the gate's rule."""
        drawn = [case for case in cases if case.verdict != "failed"]
        counted = gate.decide([Tally(case.cluster, 0, errors=int(case.verdict == "error")) for case in drawn], rules)
        found = [case for case in cases if case.verdict == "failed"]
        if counted.verdict == "error" and drawn:
            return counted
        if not found:
            return replace(counted, reason=f"no counterexample in {len(drawn)} draws: {counted.reason}")
        worse, n = found[0].measures["worse"], found[0].measures["fresh"]
        return Decision(
            "fail",
            found[0].reason,
            probes=len(cases),
            judged=counted.judged + 1,
            failures=1,
            errors=counted.errors,
            rate=None,
            interval=None,
            measures=(Measure("treated worse in fresh framings", found[0].group or "", worse / n, n=n),),
        )
