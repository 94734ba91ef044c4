"""Allow-lists of settings in a model's files: used, known to have no effect on vectors, or rejected.

Settings not listed are rejected, because they may affect vectors. `config.json` has no list: transformers reads it both
for the export and for the reference vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from build.errors import BuildError, check_all, raise_if_any
from build.sources.snapshot import Snapshot

MODULES = "modules.json"
SENTENCE = "config_sentence_transformers.json"
TOKENIZER = "tokenizer_config.json"
# In sentence-transformers' search order; the first that is not empty applies.
TRANSFORMER = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Files that change what sentence-transformers loads, which the exported graph would not include.
_FOREIGN_FILES = {
    "adapter_config.json": "an adapter: merge it into the weights (`merge_and_unload`) and save them anew",
    "preprocessor_config.json": "a processor of images or sound",
    "processor_config.json": "a processor of images or sound",
    "router_config.json": "a router between several encoders",
}


@dataclass(frozen=True)
class Rule:
    """Permitted values of a setting: of `types` (empty: any) and, if `otherwise` is given, only `values`.

    `otherwise` describes the effect of other values. Null counts as absent unless `null` is False.
    """

    types: tuple[type, ...] = ()
    values: tuple[object, ...] = ()
    otherwise: str = ""
    null: bool = True

    def complaint(self, value: object) -> str:
        """Return what is wrong with `value`, or ''."""
        if value is None and self.null:
            return ""
        if self.types and (not isinstance(value, self.types) or (isinstance(value, bool) and bool not in self.types)):
            return f"is no {' or '.join(_NAMES[one] for one in self.types)}"
        if self.otherwise and value not in self.values:
            return self.otherwise
        return ""


_NAMES: Mapping[type, str] = {
    bool: "true or false",
    str: "text",
    int: "whole number",
    float: "number",
    dict: "object",
    list: "list",
}

_ANY = Rule()
_TEXT, _FLAG, _COUNT, _OBJECT = (Rule((kind,)) for kind in (str, bool, int, dict))


def _nothing(otherwise: str) -> Rule:
    """Return the rule for a setting that must be absent, null or empty."""
    return Rule(values=({}, [], ""), otherwise=otherwise)


_TEXT_ONLY = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
_ARGUMENTS = Rule(
    (dict,), ({}, {"trust_remote_code": True}, {"trust_remote_code": False}), "loads the model in ways not known here"
)

_OF_MODULE = {
    "idx": _ANY,
    "name": _ANY,
    "path": Rule((str,), null=False),
    "type": Rule((str,), null=False),
    "kwargs": Rule((list,), ([],), "passes arguments to the module that a request cannot give"),
}
_OF_SENTENCE = {
    "__version__": _ANY,
    "similarity_fn_name": _ANY,
    "prompts": Rule((dict,), null=False),
    "default_prompt_name": _TEXT,
    "model_type": Rule(values=("SentenceTransformer",), otherwise="is of a model that gives other than dense vectors"),
    "truncate_dim": Rule(values=(), otherwise="cuts the vectors; remove it and ask for `dimensions` in each request"),
}
# The flags of versions before 5 with their modes, in the order of concatenation.
POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
OF_POOLING = {
    "word_embedding_dimension": _COUNT,
    "embedding_dimension": _COUNT,
    "pooling_mode": _ANY,
    **dict.fromkeys(POOLING_FLAGS, _FLAG),
    "include_prompt": Rule((bool,), null=False),
}
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "Sigmoid", "GELU", "SiLU")
OF_DENSE = {
    "in_features": Rule((int,), null=False),
    "out_features": Rule((int,), null=False),
    "bias": Rule((bool,), null=False),
    "activation_function": Rule(
        values=tuple(
            f"torch.nn{place}.{name}"
            for name in ACTIVATIONS
            for place in ("", ".modules.linear" if name == "Identity" else ".modules.activation")
        ),
        otherwise=f"is not one of torch.nn's {', '.join(ACTIVATIONS)}",
        null=False,
    ),
    **{
        f"module_{end}_name": Rule(values=("sentence_embedding",), otherwise="works on other than the text's vector")
        for end in ("input", "output")
    },
}
OF_LAYER_NORM = {"dimension": Rule((int,), null=False)}
OF_TRANSFORMER = {
    "max_seq_length": _COUNT,
    "do_lower_case": _FLAG,
    "unpad_inputs": _ANY,
    "transformer_task": Rule(values=("feature-extraction",), otherwise="takes other than the last layer's states"),
    "modality_config": Rule(values=(_TEXT_ONLY,), otherwise="takes other than the last layer's states", null=False),
    "module_output_name": Rule(values=("token_embeddings",), otherwise="leaves nothing to be pooled"),
    "processing_kwargs": _nothing("changes how texts are cut into tokens"),
    "tokenizer_name_or_path": _nothing("names a tokenizer outside the folder; copy its files into it"),
    "backend": Rule(values=("torch",), otherwise="runs another export than the weights"),
    **{f"{part}_{word}": _ARGUMENTS for part in ("model", "config", "tokenizer") for word in ("args", "kwargs")},
    "processor_kwargs": _ARGUMENTS,
}
_RIGHT = Rule(values=("right",), otherwise="is not supported: only `right` is")
_SPECIAL = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_OF_SPECIAL_TOKENS = {
    **{f"{name}_token": _ANY for name in _SPECIAL},
    "additional_special_tokens": _ANY,
    "extra_special_tokens": _ANY,
}
# transformers applies these when it builds the tokenizer, which is the one served.
_MADE_INTO_THE_TOKENIZER = (
    "added_tokens_decoder",
    "do_lower_case",
    "strip_accents",
    "tokenize_chinese_chars",
    "add_prefix_space",
    "trim_offsets",
    "add_bos_token",
    "add_eos_token",
    "keep_accents",
    "remove_space",
    "do_basic_tokenize",
    "never_split",
    "split_by_punct",
    "tokenizer_class",
    "sp_model_kwargs",
    "use_fast",
    "from_slow",
    "legacy",
    "legacy_behaviour",
    "vocab_file",
    "merges_file",
    "vocab_type",
    "wordpieces_prefix",
    "clean_text",
)
# Names, decoding options, and padding and truncation settings from when the tokenizer was saved.
_WITHOUT_EFFECT = (
    "name_or_path",
    "tokenizer_file",
    "special_tokens_map_file",
    "full_tokenizer_file",
    "processor_class",
    "chat_template",
    "clean_up_tokenization_spaces",
    "spaces_between_special_tokens",
    "errors",
    "pad_token_type_id",
    "pad_to_multiple_of",
    "max_length",
    "stride",
    "truncation",
    "truncation_strategy",
    "padding",
    "cls_token_type_id",
    "return_token_type_ids",
    "backend",
    "is_local",
    "device_map",
    "_from_auto",
)
_INPUTS = (
    ["input_ids", "attention_mask"],
    ["input_ids", "token_type_ids", "attention_mask"],
    ["input_ids", "attention_mask", "token_type_ids"],
)
_OF_TOKENIZER = {
    **dict.fromkeys((*_MADE_INTO_THE_TOKENIZER, *_WITHOUT_EFFECT), _ANY),
    **_OF_SPECIAL_TOKENS,
    "model_max_length": Rule((int, float)),
    "padding_side": _RIGHT,
    "truncation_side": _RIGHT,
    "model_input_names": Rule(values=_INPUTS, otherwise="leaves out the mask, or gives what the graph does not take"),
    "add_special_tokens": Rule(values=(True,), otherwise="leaves out the special tokens"),
    "split_special_tokens": Rule(values=(False,), otherwise="takes special tokens' names in a text apart"),
    "auto_map": _nothing("names code of the repository, which is never run here"),
}

_TABLES: Mapping[str, Mapping[str, Rule]] = {
    SENTENCE: _OF_SENTENCE,
    TOKENIZER: _OF_TOKENIZER,
    "special_tokens_map.json": _OF_SPECIAL_TOKENS,
    **dict.fromkeys(TRANSFORMER, OF_TRANSFORMER),
}


def check(snapshot: Snapshot, encoder: Snapshot) -> None:
    """Go through every settings file of a snapshot, and of its encoder's folder, but those of other modules.

    Raises:
        BuildError: a setting is unknown, or has a value that would give other vectors than those that are served; with
            all such settings.
    """
    places = {name: snapshot if name == SENTENCE else encoder for name in _TABLES}
    files = {name: place for name, place in places.items() if name in place.files}
    check_all(
        partial(_check_foreign, snapshot, encoder),
        *(partial(_check_file, place, name) for name, place in files.items()),
    )


def read(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """The valid settings of a file, none if there is no such file; `check` reports the invalid ones.

    Raises:
        BuildError: the file holds no JSON object.
    """
    settings = snapshot.json(name) if name in snapshot.files else {}
    return {key: value for key, value in settings.items() if not _complaint(key, value, _TABLES[name], name)}


def check_module(entry: object, where: str) -> dict[str, object]:
    """Check and return one entry of modules.json; `where` names the file in errors.

    Raises:
        BuildError: it is not an object, or a setting is unknown or has the wrong type.
    """
    if not isinstance(entry, dict) or not {"path", "type"} <= set(entry):
        raise BuildError(f"{where} has an entry without `type` and `path`")
    _check(entry, _OF_MODULE, where)
    return entry


def check_own(config: Mapping[str, object], rules: Mapping[str, Rule], where: str) -> None:
    """Check the settings of a module after the Transformer against its own rules, such as OF_POOLING.

    Raises:
        BuildError: one is unknown, or has a value that would give other vectors than those that are served.
    """
    _check(config, rules, where)


def _check_foreign(snapshot: Snapshot, encoder: Snapshot) -> None:
    present = {name: what for name, what in _FOREIGN_FILES.items() if name in snapshot.files or name in encoder.files}
    remedy = "remove the file if the model needs it not"
    raise_if_any(f"{snapshot.id} has {name}, {what}; {remedy}" for name, what in present.items())


def _check_file(snapshot: Snapshot, name: str) -> None:
    _check(snapshot.json(name), _TABLES[name], f"{snapshot.folder / name}")


def _check(settings: Mapping[str, object], rules: Mapping[str, Rule], where: str) -> None:
    raise_if_any(_complaint(key, value, rules, where) for key, value in settings.items())


def _complaint(key: str, value: object, rules: Mapping[str, Rule], where: str) -> str:
    if key not in rules:
        return (
            f"{where} has {key!r}, which is no setting known here and might change the vectors. "
            "If it does not, remove it and build again"
        )
    complaint = rules[key].complaint(value)
    return f"{where}: {key!r} {complaint} (it is {_shown(value)})" if complaint else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
