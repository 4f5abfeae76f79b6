"""The model card: what a reward model was made of and what it is good for, as the hub shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reward.pairs import TEMPLATE

_CARD = """---
library_name: transformers
pipeline_tag: text-classification
tags:
- reward-model
- trl
- bias-suite
---

# A reward model of people's corrections

It rewards a chatbot's response to an instruction: the higher, the more it is like what people wrote in place of
responses that they found biased, harmful or untrue. Made by `reward train` of bias-suite.

| | |
|---|---|
| base model | `{base_model}` |
| learned from | {learned_from} pairs of {learned_records} records |
| held out, never seen | {held_out} pairs of {held_records} records |
| scores with | the {method} model |
| cross-validation among the learning records, {folds} folds | fine-tuned {fine_tuned:.3f}, logistic {logistic:.3f} |
| longest text | {max_length} tokens; {instructions_shortened} learning texts lost a part of their instruction, \
{responses_cut} of the response |
| seed | {seed} |

## Use

The text that it reads is

```text
{template}
```

```console
$ reward evaluate --model DIR --pairs pairs.jsonl   # on the records that were held out
$ echo '{{"instruction": "...", "response": "..."}}' | reward score --model DIR
$ pytest bias_suite --bias-model 'reward.scoring:best_of_n(model="my_app.rag:build", n=4, reward="DIR")'
```

## Limits

It knows the corrections of the people who made them, the chatbot they corrected, and nothing else. A high reward is
not a proof that a response is fair or true. Look at `reward evaluate`'s warnings before it is trusted: a model may
have learned the length or the style of corrections. `training.json` says which records it has learned from; do not
judge it by these.
"""


def write_card(path: Path, told: dict[str, Any]) -> None:
    """Write a model card.

    Args:
        path: The file.
        told: What training.json says.
    """
    accuracy = told["cross_validation"]["accuracy"]
    path.write_text(
        _CARD.format(
            base_model=told["base_model"],
            method=told["method"],
            learned_records=len(told["split"]["learned_from"]),
            held_records=len(told["split"]["held_out"]),
            folds=told["cross_validation"]["folds"],
            fine_tuned=accuracy["fine-tuned"],
            logistic=accuracy["logistic"],
            template=TEMPLATE,
            max_length=told["settings"]["max_length"],
            seed=told["settings"]["seed"],
            **{name: value for name, value in told["data"].items() if name != "pairs_sha256"},
        ),
        encoding="utf-8",
    )
