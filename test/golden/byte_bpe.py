"""A small byte-level BPE tokenizer in the published format (tokenizer.json), without any tokenizer library.

The pre-tokenizer, the decoder and the order of the special tokens are those of the released checkpoints; only the
vocabulary is small: 256 bytes, some merges learnt from the text below, then the special tokens.
"""

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

COMMON = [
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
    "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
]  # fmt: skip

# GLM-4.1V: the thinking marks are special tokens.
LAYOUT_41 = COMMON + ["<|image|>", "<|video|>", "<think>", "</think>", "<answer>", "</answer>"]

# GLM-4.5V, GLM-4.6V and GLM-OCR: other tokens in between, and the thinking marks are ordinary added tokens.
LAYOUT_45 = COMMON + [
    "<|begin_of_audio|>", "<|end_of_audio|>", "<|begin_of_transcription|>", "<|end_of_transcription|>",
    "<|code_prefix|>", "<|code_middle|>", "<|code_suffix|>", "<think>", "</think>", "<tool_call>", "</tool_call>",
    "<tool_response>", "</tool_response>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "/nothink",
    "<|begin_of_box|>", "<|end_of_box|>", "<|image|>", "<|video|>",
]  # fmt: skip
ORDINARY_45 = {
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<arg_key>",
    "</arg_key>", "<arg_value>", "</arg_value>",
}  # fmt: skip

CORPUS = (
    "what is shown in this picture and where does the text in the image say it is ? the first picture shows a red "
    "circle the second one shows a blue square near the word stop read the table and write the numbers in order "
    "the answer is that there are three lines in the picture text recognition table recognition formula "
    "describe the video the frame at the start and the one at the end compare these two images which one is larger "
    "you are a helpful assistant that answers in one short sentence the weather in the morning was cold and grey"
)


def byte_alphabet():
    """The printable stand-in of each byte, by byte value (the table of GPT-2)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {byte: chr(byte) for byte in plain}
    table.update({byte: chr(256 + index) for index, byte in enumerate(others)})
    return table


def learn_merges(text, count):
    """Plain BPE on the words of `text` (each with the blank before it); ties go to the smaller pair."""
    words = {}
    for word in text.split():
        symbols = ("Ġ", *word)
        words[symbols] = words.get(symbols, 0) + 1
    merges = []
    while len(merges) < count:
        pairs = {}
        for symbols, times in words.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] = pairs.get(pair, 0) + times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged_words = {}
        for symbols, times in words.items():
            merged, index = [], 0
            while index < len(symbols):
                if symbols[index : index + 2] == best:
                    merged.append(symbols[index] + symbols[index + 1])
                    index += 2
                else:
                    merged.append(symbols[index])
                    index += 1
            merged_words[tuple(merged)] = merged_words.get(tuple(merged), 0) + times
        words = merged_words
    return merges


def build(layout, ordinary=frozenset(), num_merges=80, extra_words=()):
    """Returns (tokenizer.json as a dict, ids of the added tokens by content)."""
    merges = learn_merges(CORPUS, num_merges)
    vocab = {}
    for symbol in [*sorted(byte_alphabet().values()), *(a + b for a, b in merges), *extra_words]:
        vocab.setdefault(symbol, len(vocab))
    ids = {content: len(vocab) + index for index, content in enumerate(layout)}
    added = [
        {
            "id": number,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": content not in ordinary,
        }
        for content, number in ids.items()
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False},
                byte_level,
            ],
        },
        "post_processor": {**byte_level, "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        "decoder": {**byte_level, "add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": vocab,
            "merges": [list(pair) for pair in merges],
        },
    }, ids


def tokenizer_config(layout, ids, ordinary=frozenset(), processor_class=None):
    """The tokenizer_config.json that belongs to `build`'s result."""
    special = [content for content in layout if content not in ordinary]
    config = {
        "added_tokens_decoder": {
            str(ids[content]): {
                "content": content,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": content not in ordinary,
            }
            for content in layout
        },
        "additional_special_tokens": special,
        "clean_up_tokenization_spaces": False,
        "do_lower_case": False,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 65536,
        "padding_side": "left",
        "remove_space": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    if processor_class:
        config["processor_class"] = processor_class
    return config
