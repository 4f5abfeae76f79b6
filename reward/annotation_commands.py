"""The commands about annotations: ``reward pull`` and ``reward pairs``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from bias_suite import options
from bias_suite.sinks import argilla
from reward import annotations as written
from reward import pairs
from reward.errors import AnnotationError
from reward.telling import AsJson, progress, tell


@dataclass(frozen=True)
class _Place:
    """An `argilla.Place` of the command line's; keys come from the environment."""

    argilla_url: str | None
    argilla_workspace: str
    argilla_dataset: str
    argilla_min_submitted: int
    argilla_key: str | None = field(default=None, repr=False)
    hugging_face_token: str | None = field(default=None, repr=False)


def pull(
    url: Annotated[str | None, typer.Option("--argilla-url", help="The Argilla (key: ARGILLA_API_KEY).")] = None,
    workspace: Annotated[str, typer.Option("--argilla-workspace", help="Workspace of the dataset.")] = "argilla",
    dataset: Annotated[str, typer.Option("--argilla-dataset", help="Dataset of the cases.")] = "bias_dataset",
    min_submitted: Annotated[
        int, typer.Option("--argilla-min-submitted", min=1, help="As in the run that made the dataset.")
    ] = 1,
    source: Annotated[Path | None, typer.Option("--from", help="A file of annotations instead of Argilla.")] = None,
    out: Annotated[Path, typer.Option(help="Where to write them.")] = Path("annotations.jsonl"),
    as_json: AsJson = False,
) -> None:
    """Fetch what people submitted in Argilla; drafts and discarded answers are counted, not used."""
    if (url is None) == (source is None):
        raise AnnotationError("name either --argilla-url or --from")
    if source is not None:
        found = written.read(source)
    else:
        keys = options.argilla_key(url), options.hugging_face_token(url)
        place = _Place(url, workspace, dataset, min_submitted, *keys)
        with argilla.connected(place) as client:
            there = argilla.dataset(client, place, create=False)
            found = []
            with progress() as note:
                for one in written.of_records(argilla.annotated(there, client, place)):
                    found.append(one)
                    note("annotations", len(found), None)
    kept = written.submitted(found)
    written.write(out, kept)
    status = written.counts(found)
    figures = {
        "annotations": len(kept),
        "records": len({one.record for one in kept}),
        "annotators": len({one.annotator for one in kept}),
        "status": status,
    }
    others = ", ".join(f"{count} {name}" for name, count in status.items() if name != written.SUBMITTED)
    tell(
        figures,
        [
            f"{figures['annotations']} annotations of {figures['records']} records by {figures['annotators']} people "
            f"are in {out}" + (f"; not used: {others}" if others else "")
        ],
        as_json=as_json,
    )


def make_pairs(
    source: Annotated[Path, typer.Option("--from", help="Annotations, from `reward pull`.")] = Path(
        "annotations.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="Where to write them: *.jsonl or *.parquet.")] = Path("pairs.jsonl"),
    prompt: Annotated[
        Literal["shared", "tutorial"], typer.Option(help="The same instruction on both sides, or the tutorial's pairs.")
    ] = "shared",
    as_json: AsJson = False,
) -> None:
    """Make preference pairs of annotations; what gives none is counted, by reason."""
    with progress() as note:
        found = written.read(source)
        note("annotations", 0, len(found))
        made = pairs.make(found, prompt)
        pairs.write(out, made.pairs)
        agree = pairs.agreement(found)
        note("annotations", len(found), len(found))
    lines = [f"{len(made.pairs)} pairs of {len(found)} annotations are in {out}"]
    lines += [f"dropped: {count} {reason}" for reason, count in made.dropped.items()]
    lines.append(_agreement(agree))
    if prompt == "tutorial":
        lines.append(f"WARNING: {pairs.UNSOUND}")
    figures = {"pairs": len(made.pairs), "dropped": made.dropped, "prompt": prompt, "agreement": asdict(agree)}
    tell(figures, lines, as_json=as_json)


def _agreement(agree: pairs.Agreement) -> str:
    if not agree.pairs:
        return "agreement: not known, no record has verdicts of two people"
    alpha = "not defined, all say the same" if agree.alpha is None else f"{agree.alpha:.2f}"
    share = 100 * agree.agreeing / agree.pairs
    return (
        f"agreement on {agree.records} records: {agree.agreeing} of {agree.pairs} pairs of people ({share:.0f} %), "
        f"Krippendorff's alpha {alpha}"
    )
