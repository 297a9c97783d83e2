"""Records the ids that Hugging Face gives to hard texts: tokens with every flag, long runs, odd patterns and merges.

    python test/golden/make_tokens.py [COUNT] [OUT]      # writes test/golden/data/text/tokens.json

Needs the packages of requirements.txt. Everything is seeded: a second run writes the same bytes. With a larger COUNT of
random texts for each tokenizer, and a file elsewhere, it is a longer comparison (read by GLIMT_TOKENS of the test).
"""

import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, decoders

from byte_bpe import LAYOUT_45, PATTERN, byte_alphabet, learn_merges
from make_text import ALPHABETS, CORPUS, TEXTS, encode, load

OUT = Path(__file__).resolve().parent / "data" / "text" / "tokens.json"

SPECIALS = [
    AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
    AddedToken("<lr>", lstrip=True, rstrip=True, normalized=False, special=True),
    AddedToken("<w>", single_word=True, normalized=False), AddedToken("the", single_word=True, normalized=True),
    AddedToken("<n>", normalized=True, lstrip=True), AddedToken("ab", normalized=False), AddedToken("abab", normalized=False),
    AddedToken("\u00e9t\u00e9", normalized=True), AddedToken("<|user|>", normalized=False, special=True),
    AddedToken("<|user|", normalized=False), AddedToken("\U0001f600\U0001f3fd", normalized=False), AddedToken("  ", normalized=False),
]  # fmt: skip

RUNS = [" ", "a", "7", "你", "😀", "\u200b", "\n", "\t", "ab", "a ", " a", "'s", "=", "\r\n", "\u0301", "\u3000", "\u0085", "x\u0301", "<", "<|", "é"]


def merges_of(words, count):
    """Merges learnt from runs and words, in the byte alphabet."""
    table = byte_alphabet()
    spelt = ["".join(table[byte] for byte in word.encode()) for word in words]
    return learn_merges(" ".join(spelt), count)


def bpe(merges, extra=(), **settings):
    vocab = {}
    for symbol in [*sorted(byte_alphabet().values()), *(a + b for a, b in merges), *extra]:
        vocab.setdefault(symbol, len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, **settings))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def split(pattern, **settings):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern) if isinstance(pattern, str) else pattern, "isolated", **settings),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def tokenizers():
    """(name, backend, config)"""
    runs = merges_of(["a" * 40, "Ġ" * 60, "ababab", "the", "then", "你你你你", "777", "été", "==" * 9] * 3 + CORPUS, 220)
    spaces = [("Ġ" * n, "Ġ" * n) for n in (1, 2, 4, 8, 16)] + [("ĠĠ", "Ġ"), ("a", "a"), ("aa", "aa"), ("aa", "a"), ("a", "aaa")]
    plain = bpe(runs)
    plain.pre_tokenizer = split(PATTERN)
    plain.add_tokens([AddedToken(text, special=True, normalized=False) for text in LAYOUT_45])
    yield "plain", plain, {}

    flags = bpe(runs)
    flags.pre_tokenizer = split(PATTERN)
    flags.add_tokens(SPECIALS)
    yield "flags", flags, {}

    normalised = bpe(runs, ignore_merges=True, extra=["the", "Ġthe"])
    normalised.normalizer = normalizers.Sequence([normalizers.NFC()])
    normalised.pre_tokenizer = split(PATTERN)
    normalised.add_tokens(SPECIALS)
    yield "normalised", normalised, {}

    chain = bpe([*spaces, ("Ġ", "a"), ("b", "c"), ("a", "bc"), ("ab", "c"), ("a", "b")], extra=["aaa", "abc"])
    chain.pre_tokenizer = split(r"\s+|\S+")
    chain.add_tokens([AddedToken("<|user|>", special=True, normalized=False)])
    yield "chain", chain, {}

    whole = bpe(runs)
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    whole.add_tokens(SPECIALS[:4])
    yield "byte level alone", whole, {}

    letters = bpe(runs, fuse_unk=True)
    letters.pre_tokenizer = split(r"[\s\S]{1,3}?(?=\d|$)|^.a|[.$^]|\w+|[^\w\s]|\S")
    yield "odd pattern", letters, {}

    text = bpe(runs)
    text.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(".", "isolated"), pre_tokenizers.Split(Regex(r"(?i:'s|'k|ab)"), "isolated", invert=True),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )  # fmt: skip
    yield "text pattern", text, {}

    listed = bpe(runs)
    listed.pre_tokenizer = split(PATTERN)
    listed.add_tokens([AddedToken(text, special=True, normalized=False) for text in LAYOUT_45])
    listed.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="[gMASK] $A <sop>", special_tokens=[(t, listed.token_to_id(t)) for t in ("[gMASK]", "<sop>")]
            ),
        ]
    )
    decoder = {
        str(number): {"content": token.content, "lstrip": token.content == "<|user|>", "rstrip": False, "normalized": False,
                      "single_word": False, "special": token.special}
        for number, token in listed.get_added_tokens_decoder().items()
    }  # fmt: skip
    last = max(map(int, decoder))
    other = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": True, "special": False}
    config = {
        "added_tokens_decoder": {**decoder, str(last + 5): {"content": "<new>", **other}},
        "unk_token": "<unk!>",
        "mask_token": {"content": "<msk>", **other, "special": True, "__type": "AddedToken"},
        "extra_special_tokens": {"x_token": "<xt>"},
        "additional_special_tokens": ["<add>", "<think>"],
        "bos_token": "[gMASK]",
    }
    yield "listed", listed, config


def hard_texts(tokens, count, seed):
    rng = random.Random(seed)
    contents = tokens or ["<|user|>"]
    texts = [run * length for run in RUNS for length in (1, 2, 3, 7, 40)]
    texts += [run * 9 + other * 9 for run in RUNS[:8] for other in RUNS[:8]]
    for _ in range(count):
        pieces = []
        for _ in range(rng.randint(1, 9)):
            kind = rng.random()
            if kind < 0.35:
                pieces.append("".join(rng.choices(rng.choice(ALPHABETS), k=rng.randint(1, 6))))
            elif kind < 0.6:
                pieces.append(rng.choice(contents))
            elif kind < 0.75:
                content = rng.choice(contents)
                pieces.append(content[: rng.randint(0, len(content))])
            else:
                pieces.append(rng.choice(RUNS) * rng.randint(1, 9))
        texts.append("".join(pieces))
    return texts


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else OUT
    found = {}
    for seed, (name, backend, config) in enumerate(tokenizers()):
        tokenizer = load(backend, config)
        contents = [token.content for token in tokenizer.added_tokens_decoder.values()]
        texts = [*TEXTS, *hard_texts(contents, count, seed)]
        found[name] = {
            "tokenizer": json.loads(backend.to_str()),
            "config": config,
            "length": len(tokenizer),
            "encode": [[text, encode(tokenizer, text)] for text in dict.fromkeys(texts)],
        }
    out.write_text(json.dumps(found, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
