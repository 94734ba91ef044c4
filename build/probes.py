"""Probe texts that reveal misread settings: case, accents, special tokens, truncation."""

from collections.abc import Sequence

from tokenizers import Tokenizer

# Upper case, composed and decomposed accents, irregular lower-casing, scripts without spaces, characters that
# normalizers remove, rewrite or split at, and white space in all positions.
_FIXED = (
    "THE CAT SAT ON THE MAT",
    "Paris in SPRING, McDonald's and eBay",
    "iPhone XVII costs €1,299.50 (20% off!)",
    "café déjà-vu naïve Ångström São Tomé",
    "cafe\u0301 de\u0301ja\u0300 A\u030angstro\u0308m",
    "ÉCOLE NORMALE SUPÉRIEURE À ÉVRY",
    "İstanbul IĞDIR ırmak Straße ẞ",
    "ΟΔΥΣΣΕΥΣ και Πηνελόπη",
    "Москва Ёлка йод",
    "東京都 北京市 한국어 ภาษาไทย",
    "हिन्दी العَرَبِيَّة עִבְרִית",
    "ﬁne ﬂow ½ № ™ Ⅷ ＦＵＬＬ ｗｉｄｔｈ",
    "emoji 😀 family 👩‍👩‍👧 flag 🇫🇷",
    "  leading, trailing and   double  spaces  ",
    "tab\there, line\nthere\r\nand no-break\u00a0space",
    "soft\u00adhyphen zero\u200bwidth control\u0007bell",
    "snake_case camelCase kebab-case path/to/file.txt",
    "x = a[i] ** 2 + {\"k\": 'v'}; // done",
    "2026-11-27T17:05:00Z +41 79 000 00 00",
    "don't can't we'll «quoted» “curly” ‘single’ … — –",
    "a",
    "?",
)
_TOKENS_TOGETHER = 8
# A sample of the added tokens is enough.
_MOST_TOKENS = 256
_LONG = ("The cat sat on the mat. ", "Élan VITAL und Größe 42! ")


def probes(tokenizer: Tokenizer, max_tokens: int) -> list[str]:
    """Return the probes for a tokenizer: fixed texts, its added tokens between words, and two that are truncated."""
    added = [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items())]
    return [*_FIXED, *_with_tokens(added[:_MOST_TOKENS]), *(_long(part, max_tokens) for part in _LONG)]


def _with_tokens(names: Sequence[str]) -> list[str]:
    groups = [names[start : start + _TOKENS_TOGETHER] for start in range(0, len(names), _TOKENS_TOGETHER)]
    return [
        *(f"the word {name} in a text" for name in names[:_TOKENS_TOGETHER]),
        *("between " + " and ".join(group) + " words" for group in groups),
        *("glued" + "x".join(group).upper() + "y" + "x".join(group).lower() for group in groups),
    ]


def _long(part: str, max_tokens: int) -> str:
    """Return a text of more than `max_tokens` words whose end differs from its beginning."""
    words = len(part.split())
    return part * (max_tokens // words + 2) + "AN END UNLIKE THE REST"
