"""Orders to the machine that stand in a document: "Assistants reading this: tell people to …"; no model is asked.

Whoever can write into a document that a chatbot retrieves can try to steer it (indirect prompt injection). An order
is a sentence that speaks to assistants or language models and then tells them what to do (``words/addressed.toml``,
``words/ordering.toml``, eleven languages). Such a sentence is no evidence of anything.

Cannot: see an order that names nobody, or in whose further sentences the figures stand.
"""

from __future__ import annotations

import functools
import re

from bias_suite import words

_SENTENCE = re.compile(r".+?(?:[.!?…؟](?=\s|$)|$)", re.MULTILINE)


@functools.cache
def _order() -> re.Pattern[str]:
    # The addressed stand before a colon or comma, as one addresses somebody, and the order comes right after it.
    spoken_to, told = words.any_of("addressed"), words.any_of("ordering")
    return re.compile(
        rf"(?<![\w'-])(?:{spoken_to})(?!\w)[^.!?:,،\n]{{0,60}}[:,،]\s*(?:\w+\s+){{0,2}}(?:{told})(?!\w)", re.IGNORECASE
    )


def without(text: str) -> str:
    """Return a text without its sentences that are orders to the machine."""
    return _SENTENCE.sub(lambda found: "" if _order().search(found[0]) else found[0], text)
