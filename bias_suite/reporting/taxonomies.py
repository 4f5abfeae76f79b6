"""The catalogues of harms that reports refer to: AVID's effects, and OWASP's ten risks of LLM applications.

Detectors name categories of them in `Detector.taxonomy`. The names are AVID's (Subject-Effect-Policy view) and those of
"OWASP Top 10 for LLM Applications 2025"; only what detectors refer to stands here.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bias_suite.detectors import Detector


@dataclass(frozen=True)
class Taxonomy:
    """A catalogue of harms.

    Attributes:
        tag: How `Detector.taxonomy` names one of its categories; the group is the category's id.
        name: Its name.
        organization: Who keeps it.
        uri: Where it is explained.
        names: The names of its categories, by id.
    """

    tag: re.Pattern[str]
    name: str
    organization: str
    uri: str
    names: Mapping[str, str]

    @property
    def guid(self) -> str:
        """What tells it from every other one; always the same."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.uri))

    def categories(self, detector: Detector) -> list[str]:
        """Return the ids of the categories that a detector names."""
        return sorted({found[1] for tag in detector.taxonomy if (found := self.tag.fullmatch(tag))})

    def reference(self) -> dict[str, Any]:
        """Return what refers to it, as SARIF's ``toolComponentReference``."""
        return {"name": self.name, "guid": self.guid}


TAXONOMIES: tuple[Taxonomy, ...] = (
    Taxonomy(
        re.compile(r"avid-effect:\w+:([A-Z]\d{4})"),
        "AVID",
        "AI Risk and Vulnerability Alliance",
        "https://docs.avidml.org/taxonomy/effect-sep-view",
        {
            "E0101": "Group fairness",
            "E0301": "Toxicity",
            "E0302": "Polarization/ Exclusion",
            "E0402": "Generative Misinformation",
            "P0201": "Resilience/ Stability",
            "P0204": "Accuracy",
            "P0301": "Anonymization",
            "P0401": "Psychological Safety",
            "P0403": "Socioeconomic safety",
            "S0301": "Information Leak",
            "S0403": "Adversarial Example",
        },
    ),
    Taxonomy(
        re.compile(r"owasp-llm:(LLM\d{2}:\d{4})"),
        "OWASP Top 10 for LLM Applications",
        "OWASP Foundation",
        "https://genai.owasp.org/llm-top-10/",
        {
            "LLM01:2025": "Prompt Injection",
            "LLM02:2025": "Sensitive Information Disclosure",
            "LLM09:2025": "Misinformation",
        },
    ),
)


def components(detectors: Iterable[Detector]) -> list[dict[str, Any]]:
    """Return the taxonomies that the detectors name, with the categories that they name, as SARIF's ``toolComponent``.

    Args:
        detectors: Those whose findings are reported.
    """
    chosen = list(detectors)
    found = []
    for taxonomy in TAXONOMIES:
        used = sorted({category for detector in chosen for category in taxonomy.categories(detector)})
        if used:
            taxa = [{"id": one, "name": taxonomy.names.get(one, one)} for one in used]
            head = {"guid": taxonomy.guid, "name": taxonomy.name, "organization": taxonomy.organization}
            found.append({**head, "informationUri": taxonomy.uri, "isComprehensive": False, "taxa": taxa})
    return found


def relationships(detector: Detector) -> list[dict[str, Any]]:
    """Return how a detector's findings relate to the taxonomies, as SARIF's ``reportingDescriptorRelationship``."""
    return [
        {"target": {"id": category, "toolComponent": taxonomy.reference()}, "kinds": ["relevant"]}
        for taxonomy in TAXONOMIES
        for category in taxonomy.categories(detector)
    ]
