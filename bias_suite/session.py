"""One pytest session's state: settings, plan, model, case file in each process; results in the main one."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bias_suite import options
from bias_suite.cases import Case, Judging
from bias_suite.detectors import Detector, select
from bias_suite.errors import BudgetError, OptionError, ReportError
from bias_suite.options import Settings
from bias_suite.reporting import summary
from bias_suite.reporting.summary import Price, Row
from bias_suite.sinks import jsonl

if TYPE_CHECKING:
    from bias_suite.accepted import Accepted
    from bias_suite.budget import Budget
    from bias_suite.evaluation import Evaluation, Outcome
    from bias_suite.journal import Journal
    from bias_suite.judge import Judge
    from bias_suite.merging import Found, Merged
    from bias_suite.plan import Plan
    from bias_suite.probes import Probe
    from bias_suite.recordings import Recording
    from bias_suite.redaction import Redactor
    from bias_suite.runner import Pool
    from bias_suite.sharding import Shard
    from bias_suite.sinks.delivery import Delivery
    from bias_suite.subject import Subject
    from bias_suite.trust import Trust

FILES = ("index.html", summary.FILE, jsonl.FILE, "results.sarif", "giskard.html", "giskard.avid.jsonl")
"""What a run may leave in its report folder."""
FOLDERS: pytest.StashKey[tuple[Path, ...]] = pytest.StashKey()
"""The report folders of the parts that a session brings together, instead of asking (`bias-suite merge`)."""
_LEDGER = ".spent"
_PACKAGE = Path(__file__).parent
_NO_MODEL = "--bias-model MODULE:FACTORY (or the ini key bias_model) must name the model under test"


class Session:
    """What bias-suite knows in one process of a pytest session."""

    def __init__(self, config: pytest.Config, settings: Settings, run_id: str) -> None:
        """Hold the settings; everything else is read or opened when first used."""
        self.config = config
        self.settings = settings
        self.run_id = run_id
        self.rows: dict[str, Row] = {}
        self.crashed: set[str] = set()
        self.begun = False
        self.announced = False
        self.waivers: list[dict[str, Any]] = []
        self._began, self._clock, self._before = time.time(), time.monotonic(), 0.0
        self._pool: Pool | None = None
        self._evaluations: dict[str, Evaluation | Found] | None = None
        self._resumed = 0
        self._measuring: list[Judging] = []

    @functools.cached_property
    def plan(self) -> Plan:
        """The plan (read once)."""
        from bias_suite import plan

        return plan.load(self.settings)

    @functools.cached_property
    def selected(self) -> list[Detector]:
        """The detectors that ``--bias-only`` leaves, those that can be judged first."""
        return select(self.plan.detectors, self.settings.only, "--bias-only")

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """Ids of the detectors that must have been evaluated."""
        if "all" in self.settings.require:
            chosen = list(self.plan.detectors)
        else:
            wanted = self.settings.require
            chosen = select(self.plan.detectors, wanted, "--bias-require") if wanted else []
        # A part of a run evaluates none: the merging sees to it.
        return frozenset() if self.settings.shard else frozenset(detector.id for detector in chosen)

    @functools.cached_property
    def judge(self) -> Judge | None:
        """The judge, one for all detectors of this process; None where none is named."""
        if self.merged is not None:
            return self.merged.judge(self.settings)
        from bias_suite.judge import configured

        return configured(self.settings, self.recording, self.budget)

    @functools.cached_property
    def budget(self) -> Budget | None:
        """What the run may spend, all its processes together; None for any amount.

        Raises:
            ReportError: Its ledger cannot be written.
        """
        from bias_suite import budget

        if self.merged is not None:
            return None
        limits = budget.Limits(self.settings.max_calls, self.settings.max_tokens, self.settings.max_usd)
        return budget.Budget(self.settings.report_dir / budget.FILE, limits) if limits else None

    @functools.cached_property
    def recording(self) -> Recording | None:
        """The recording that answers are stored in or taken from; None without one.

        Raises:
            RecordingError: It cannot be opened.
        """
        path = self.settings.replay or self.settings.record
        if path is None or self.merged is not None:
            return None
        from bias_suite.recordings import Recording

        return Recording(path, replays=self.settings.replay is not None, run=self.run_id, secrets=options.secrets())

    def subject(self) -> Subject:
        """Build the model under test; a replay takes it as it was recorded.

        Raises:
            ModelError: It cannot be built.
            RecordingError: The recording cannot be used, or holds no answers of it.
        """
        from bias_suite import recorded, subject
        from bias_suite.pace import Pace

        spec = self.settings.model
        if spec is None:
            raise OptionError(_NO_MODEL)
        if self.merged is not None:
            return self.merged.subject()
        if self.recording is not None and self.recording.replays:
            return recorded.replayed(spec, self.recording)
        built = replace(subject.build(spec), pace=Pace(self.settings.rpm))
        return built if self.recording is None else recorded.recorded(built, spec, self.recording)

    def begin_evaluations(self, subject: Subject, ids: Sequence[str]) -> None:
        """Have all that these detectors ask of the model in flight from now on, in their order; done once."""
        if self._evaluations is not None:
            return
        _ = self.case_file  # opened before any thread needs it
        self._evaluations = {identifier: self._evaluation(subject, identifier) for identifier in dict.fromkeys(ids)}
        for evaluation in self._evaluations.values():
            evaluation.begin()

    def evaluation(self, subject: Subject, detector: Detector) -> Evaluation | Found:
        """Return a detector's evaluation, begun before or not."""
        begun = (self._evaluations or {}).pop(detector.id, None)
        return begun or self._evaluation(subject, detector.id)

    @functools.cached_property
    def accepted(self) -> Accepted:
        """What somebody has accepted: waivers, and the baseline.

        Raises:
            WaiverError: The waivers are wrong.
            BaselineError: The baseline cannot be read, or is of another plan or judge.
        """
        from bias_suite.accepted import Accepted

        today = datetime.datetime.fromtimestamp(self._began, datetime.UTC).date()
        return Accepted(self.settings, self.plan, today)

    def _evaluation(self, subject: Subject, identifier: str) -> Evaluation | Found:
        from bias_suite import evaluation

        (detector,) = (one for one in self.plan.detectors if one.id == identifier)
        rule, probes = self.plan.rules[identifier], self.plan.probes[identifier]
        noted = functools.partial(self.take_answer, detector)
        given = self._pool_of(subject), self.settings, self.take_case, self.judge, noted, self.accepted.waive
        if self.part is not None:
            from bias_suite import sharding

            whole = probes if rule.scans else sharding.asked(probes, self.settings)
            shard, share = self.part
            return sharding.Part(
                detector, rule, share[identifier], *given, shard=shard, whole=whole, note=self._note_outcome
            )
        if self.merged is not None and rule.scans:
            return self._found(identifier)
        return evaluation.Evaluation(detector, rule, probes, *given)

    def _pool_of(self, subject: Subject) -> Pool:
        from bias_suite import evaluation, merging
        from bias_suite.runner import Pool

        if self._pool is None:
            self._pool = Pool(subject, evaluation.limits(self.settings), self.journal, self.budget)
            if self.settings.shard and self.journal is not None:
                told = {"name": subject.name, "version": subject.version, "description": subject.description}
                self.journal.note(merging.MODEL, told)
        return self._pool

    def _found(self, identifier: str) -> Found:
        from bias_suite.merging import Found

        found = self.merged.outcome(identifier) if self.merged else None
        if found is None:
            raise ReportError(f"merge: no part has the outcome of {identifier}")
        return Found(found, self.take_case)

    def _note_outcome(self, outcome: Outcome) -> None:
        from bias_suite import merging

        if self.journal is not None:
            self.journal.note(merging.OUTCOME, merging.dump(outcome))

    @functools.cached_property
    def merged(self) -> Merged | None:
        """The parts that are brought together; None where the model is asked.

        Raises:
            ReportError: A part is missing, doubled, or not one.
        """
        folders = self.config.stash.get(FOLDERS, None)
        if folders is None:
            return None
        from bias_suite.merging import Merged

        return Merged(folders)

    @functools.cached_property
    def part(self) -> tuple[Shard, Mapping[str, Sequence[Probe]]] | None:
        """Which part of a run this is, and what it asks, by detector; None where it is no part."""
        from bias_suite import sharding

        shard = sharding.shard(self.settings)
        if shard is None:
            return None
        names = self.evaluable(one.id for one in self.selected)
        return shard, sharding.parts(self.plan, names, self.settings, shard.of)[shard.number - 1]

    def evaluable(self, detectors: Iterable[str]) -> list[str]:
        """Return those of the detectors that can be evaluated."""
        from bias_suite import evaluation

        plan = self.plan
        known = [name for name in detectors if name in plan.rules]
        return [name for name in known if evaluation.not_evaluated(plan.rules[name], plan.probes[name]) is None]

    def check_judge(self, detectors: Iterable[str]) -> None:
        """Call the judge once where one of the detectors needs it: a wrong key is told at once, and only once.

        Raises:
            JudgeError: The judge cannot be called.
            BudgetError: The budget does not reach for measuring it.
        """
        names = self.evaluable(detectors)
        if self.merged is not None:
            self.merged.require_complete(self.plan, names, self.settings)
        elif self.judge is not None and any(self.plan.rules[name].remote for name in names):
            self.judge.check()
            if self.part is None or self.part[0].number == 1:  # one part measures for all
                _ = self.trust  # measured here, in the main process: workers find it remembered

    @functools.cached_property
    def trust(self) -> Trust | None:
        """What the judge is worth: measured on gold judgements, or remembered; None where it is not measured.

        Raises:
            JudgeError: The judge cannot be called.
            BudgetError: The budget does not reach for the measuring.
        """
        if self.merged is not None:
            return self.merged.trust
        if self.judge is None or not self.settings.judge_gold:
            return None
        from platformdirs import user_cache_path

        from bias_suite import trust as trusting

        self.judge.check()
        folder = user_cache_path("bias-suite") / "judges"
        chosen = trusting.part(trusting.gold(), self.settings.judge_gold)
        key = trusting.key(self.judge, self.judge.version, chosen)
        # A recording is to hold all that the run knew of the judge.
        found = trusting.remembered(folder, key) if self.recording is None else None
        if found is None:
            try:
                found, verdicts = trusting.measure(self.judge, chosen, self.settings.concurrency)
            except BudgetError as error:
                raise BudgetError(
                    f"{error}, before the judge was measured on {len(chosen)} gold judgements: allow more, or leave "
                    "the measuring out (--bias-judge-gold 0)"
                ) from None
            trusting.remember(folder, key, found)
            self._note_measuring([one.judging for one in verdicts.values() if one.judging is not None])
        if self.settings.shard and self.journal is not None:
            from bias_suite import merging

            self.journal.note(merging.TRUST, dataclasses.asdict(found))
        return found

    def _note_measuring(self, judging: Sequence[Judging]) -> None:
        """Note what measuring the judge took; the main process tells, for workers find its answers remembered."""
        if not self.begun:
            return
        from bias_suite import journal as journals
        from bias_suite import trust as trusting

        self._measuring.append(trusting.spent(judging))
        if self.journal is not None:
            self.journal.note(journals.GOLD, dataclasses.asdict(self._measuring[-1]))

    def _measured_with(self) -> Judging | None:
        """Return what measuring the judge took, in all parts of the run; None where it was not measured anew."""
        from bias_suite import trust as trusting

        found = self._measuring if self.merged is None else self.merged.measuring
        return trusting.spent(found) if found else None

    @functools.cached_property
    def redactor(self) -> Redactor:
        """Takes personal data out of what people and other machines are shown; does nothing with ``--bias-redact no``.

        Raises:
            CanaryError: The canaries file is wrong.
        """
        from bias_suite import redaction

        return redaction.of(self.settings)

    @functools.cached_property
    def delivery(self) -> Delivery:
        """Brings the run's cases to people, in the main process."""
        from bias_suite.sinks.delivery import Delivery

        return Delivery(self.settings, self.redactor.case)

    @functools.cached_property
    def case_file(self) -> jsonl.CaseFile:
        """The run's cases file, opened at the first case; what an earlier run left is saved before."""
        if not jsonl.is_of(self.settings.report_dir, self.run_id):
            self.delivery.recover(self.settings.report_dir, summary.commit(self.config.rootpath))
        return jsonl.CaseFile(self.settings.report_dir, self.run_id)

    def take_case(self, case: Case) -> None:
        """Put one case on disk, then hand it to the sinks."""
        self.case_file.append(case)
        self.config.hook.pytest_bias_case(case=case, config=self.config)

    def take_answer(self, detector: Detector) -> None:
        """Note, for the progress line, that a probe of a detector has its answers."""
        self.case_file.note_answer(detector.id)

    def close(self) -> None:
        """End the threads, and close what files are open."""
        if self._pool is not None:
            self._pool.close()
        if "case_file" in self.__dict__:
            self.case_file.close()
        for name in ("recording", "journal", "budget"):
            if self.__dict__.get(name) is not None:
                self.__dict__[name].close()

    def check(self) -> None:
        """Check, before anything is asked, whatever can be checked without importing the application.

        Raises:
            BiasSuiteError: Options, probes files, canaries, model module or report folder are wrong.
        """
        from bias_suite import subject

        if self.settings.model is None:
            raise OptionError(_NO_MODEL)
        if self.merged is not None:
            self.merged.check(self.settings, self.plan.sha256)
        elif self.recording is None or not self.recording.replays:
            subject.find(self.settings.model)
        _ = self.selected, self.required, self.accepted
        jsonl.require_writable(self.settings.report_dir)

    def begin(self) -> None:
        """Remove the last run's reports: if this run is killed, nobody shall take them for its result.

        Raises:
            ReportError: One cannot be removed, or there is no run that can be resumed.
            OutboxError: The cases of an earlier run that was killed cannot be put into the outbox.
        """
        from bias_suite import resuming

        if self.settings.resume:
            self._resume()
        elif self.merged is not None:
            self._began, self._before = self.merged.started, self.merged.seconds
            self._journal_path.unlink(missing_ok=True)
        else:
            self.delivery.recover(self.settings.report_dir, summary.commit(self.config.rootpath))
            head = resuming.head(self.settings, self.plan.sha256)
            if self.recording is not None and self.recording.replays:
                self.run_id = self.recording.replay_id(head)
            else:
                resuming.begin(self._journal_path, self.run_id, self._began, head)
        self.begun = True
        for name in (*FILES, jsonl.PROGRESS_FILE, jsonl.RUN_FILE, _LEDGER):
            path = self.settings.report_dir / name
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise ReportError(f"cannot remove the last run's {path}: {error.strerror}") from None

    @property
    def _journal_path(self) -> Path:
        from bias_suite import journal

        return self.settings.report_dir / journal.FILE

    def _resume(self) -> None:
        """Take up the run whose journal there is.

        Raises:
            ReportError: There is none, or it is of another plan or other settings.
        """
        from bias_suite import journal as journals
        from bias_suite import resuming

        found = resuming.resume(self._journal_path, resuming.head(self.settings, self.plan.sha256))
        self.run_id, self._began, self._before = found.run, found.started, max(0.0, self._began - found.started)
        self._resumed = found.answers
        self._measuring = [Judging(**told) for told in journals.notes(self._journal_path, journals.GOLD)]

    @functools.cached_property
    def journal(self) -> Journal | None:
        """The run's journal; None where nobody is asked, or the run was not begun by us.

        Raises:
            ReportError: It cannot be read or written.
        """
        if self.merged is not None:
            return self.merged.journal
        from bias_suite import journal as journals

        path = self._journal_path
        if self.settings.replay is not None or not path.exists() or journals.head(path)["run"] != self.run_id:
            return None
        return journals.Journal(path, sources=[path] if self.settings.resume else [])

    def selects_detectors(self) -> bool:
        """Tell whether the command line reaches the package's own tests (before anything is collected)."""
        pyargs = self.config.getoption("pyargs")
        for argument in self.config.args:
            name = argument.partition("::")[0]
            if pyargs and name.split(".")[0] == _PACKAGE.name:
                return True
            path = (self.config.invocation_params.dir / name).resolve()
            if path == _PACKAGE or _PACKAGE in path.parents:
                return True
            # From a folder above, pytest gets here unless a virtual environment lies between.
            between = [folder for folder in _PACKAGE.parents if path in folder.parents]
            if path in _PACKAGE.parents and not any((folder / "pyvenv.cfg").exists() for folder in between):
                return True
        return False

    def results(self) -> list[Row]:
        """Return a row for every detector of the catalogue, in its order."""
        return [self.rows.get(detector.id) or self._without_result(detector) for detector in self.plan.detectors]

    def _without_result(self, detector: Detector) -> Row:
        if detector.id in self.crashed:
            return Row(detector.id, "error", "its test ended without a result (see the test's report)")
        return Row(detector.id, "not_evaluated", "was not run (not selected, or the run ended before it)")

    def missing(self) -> list[str]:
        """Return the required detectors that were not evaluated."""
        return [line.id for line in self.results() if line.id in self.required and not line.evaluated]

    def judge_met(self) -> str | None:
        """Return name and version of the judge as the detectors met it, for people; None where none judged."""
        met = {name.partition("#")[0] for row in self.results() if row.judge for name in row.judge.split(", ")}
        return ", ".join(sorted(met)) or None

    def write_summary(self, exit_status: int) -> dict[str, Any]:
        """Write ``summary.json`` and return its content.

        Raises:
            ReportError: It cannot be written.
        """
        rows = self.results()
        jsonl.arrange(self.settings.report_dir, self._place())
        tags = {detector.id: detector.tags for detector in self.plan.detectors}
        self.waivers = self.accepted.waivers_told(self.settings.report_dir / jsonl.FILE)
        measuring = self._measured_with()
        price = self._price(rows, measuring)
        content = summary.document(self._run(rows), rows, tags, exit_status, price, self.waivers, measuring)
        summary.write(content, self.settings.report_dir)
        if self.settings.shard and self.journal is not None:
            from bias_suite import merging

            self.journal.note(merging.ENDED, {"seconds": content["run"]["seconds"]})
        return content

    def _place(self) -> Callable[[Mapping[str, Any]], tuple[int, int, int]]:
        """Return what tells where a case stands in the plan; those of a search stand behind it, as they came.

        It knows no place for cases of a detector without a result: a worker may still be writing them.
        """
        detectors = {one.id: number for number, one in enumerate(self.plan.detectors) if one.id in self.rows}
        probes = {probe.id: number for part in self.plan.probes.values() for number, probe in enumerate(part)}
        return lambda case: (detectors[case["detector"]], probes.get(case["probe"], len(probes)), case["trial"])

    def _price(self, rows: Sequence[Row], measuring: Judging | None) -> Price | None:
        """Return what tells the price of the judge's tokens, where litellm knows it."""
        if self.settings.judge is None or self.settings.judge_url:
            return None
        if measuring is None and not any(row.judge_calls for row in rows):
            return None
        from bias_suite.chat import price

        return functools.partial(price, self.settings.judge)

    def _judge_used(self, rows: Sequence[Row]) -> dict[str, Any] | None:
        """Return the judge's name, the versions and prompts that the detectors met, and how it was asked."""
        if self.settings.judge is None:
            return None
        from bias_suite.judge import SEED, TEMPERATURE

        met = {name for line in rows if line.judge for name in line.judge.split(", ")}
        return {
            "model": self.settings.judge,
            "identities": sorted(met),
            "votes": self.settings.judge_votes,
            "temperature": TEMPERATURE,
            "seed": SEED,
            "gold": self._measured(),
        }

    def _measured(self) -> dict[str, Any] | None:
        """Return what the judge is worth; None where it was not measured in this process."""
        found = self.__dict__.get("trust")
        if found is None:
            return None
        told = {name: getattr(found, name) for name in ("sensitivity", "specificity", "errors")}
        shown = {name: {"k": rate.k, "n": rate.n, "interval": list(rate.interval)} for name, rate in told.items()}
        return {**shown, "doubt": found.doubt}

    def recording_note(self) -> str | None:
        """Return for people where answers came from or went, and what cannot be known of them; None without one."""
        if self.recording is None:
            return None
        rows = self.results()
        taken = sum(row.recorded + row.judge_recorded for row in rows)
        verb = "Replayed from" if self.recording.replays else "Recorded in"
        told = f"{verb} {self.recording.path}: {taken} answers and replies taken from there."
        if not any(row.model and "@" not in row.model for row in rows):
            return told
        replayed = "so nobody can tell whether it still answers like this"
        doubt = replayed if self.recording.replays else "so answers of other runs are not taken"
        return f"{told} The model under test tells no version, {doubt}."

    def journal_notes(self) -> list[str]:
        """Return for people what was taken from the journal, and whether it is whole."""
        found = self.__dict__.get("journal")
        taken = [f"Resumed: {self._resumed} answers and verdicts were there already."] if self._resumed else []
        return [*taken, f"The journal is not whole: {found.problem}."] if found and found.problem else taken

    def judge_worth(self) -> str | None:
        """Return for people what the judge is worth; None where it was not measured."""
        found = self.__dict__.get("trust")
        return None if found is None else f"Judge measured on {found.errors.n} gold judgements: {found}."

    def _run(self, rows: Sequence[Row]) -> dict[str, Any]:
        model = next((line.model for line in rows if line.model), self.settings.model)
        started = datetime.datetime.fromtimestamp(self._began, datetime.UTC)
        held_to = ("tolerance", "limit", "confidence", "sample", "trials")
        return {
            "id": self.run_id,
            "started": started.isoformat(timespec="seconds"),
            "seconds": 0.0 if self.settings.replay else round(self._before + time.monotonic() - self._clock, 1),
            "model": model,
            "judge": self._judge_used(rows),
            "probes_sha256": self.plan.sha256,
            "git": summary.commit(self.config.rootpath),
            "settings": {name: getattr(self.settings, name) for name in held_to},
            "baseline": self.accepted.baseline_told(),
            "shard": self.settings.shard,
            "merged": self.merged.of if self.merged else None,
            "python": sys.version.split()[0],
        }


_TEST = re.compile(r"::test_(?:detector|invariance)\[(.*)\]$")


def detector_of(nodeid: str) -> str | None:
    """Return the id of the detector that a test is about, by the test's node id; None for other tests."""
    found = _TEST.search(nodeid)
    return found[1] if found else None
