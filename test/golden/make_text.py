"""Records what Hugging Face makes of text: tokenizers trained here (ids and decoded text) and rendered chat templates.

    python test/golden/make_text.py        # writes test/golden/data/text/

Needs the packages of requirements.txt. Everything is seeded: a second run writes the same bytes.
"""

import json
import random
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from byte_bpe import LAYOUT_45, ORDINARY_45, PATTERN

HERE = Path(__file__).resolve().parent
OUT = HERE / "data" / "text"

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind; it's used to it. I'll say: they've won!",
    "Text Recognition: read all the text in the picture. Table Recognition: 12345 67 890 1,000,000.50 3.14159",
    "请识别图片中的文字。这张图片显示了一个红色的圆形和一个蓝色的正方形。你好,世界!今天天气怎么样?我们去看电影吧。",
    "画像の中のテキストを読み取ってください。東京タワーは高さ三百三十三メートルです。カタカナとひらがな。",
    "이미지에 있는 텍스트를 읽어 주세요. 안녕하세요 세계. Привет, мир! Как дела? Прочитайте текст на картинке.",
    "Où est l'été? Größe, naïve, façade, coöperate, Ångström, señor, ¿qué?, “quotes” — dashes… and № 5 €12",
    "مرحبا بالعالم، اقرأ النص. שלום עולם. नमस्ते दुनिया, चित्र पढ़ें। สวัสดีชาวโลก",
    "def main(args):\n    for i in range(10):\n        print(f'{i}: {args[i]}')\n\n\treturn None  # done\r\n",
    "😀😃 👍🏽 👩‍👩‍👧‍👦 🇨🇳🇩🇪 ❤️ ✅ 🎉 emoji and x² + y³ = z½, Ⅷ, ①②③, ٣٤٥, १२३",
    "<table><tr><td>Name</td><td>Price</td></tr></table> \\frac{a}{b} \\sum_{i=0}^{n} x_i $$E=mc^2$$",
]

TEXTS = [
    "", " ", "  ", "   x", "a", "\n", "\n\n", " \n", "\n ", "\r\n\r\n", "\t\t x", "x  \n  y", "end   ", "a\u00a0b\u2003c\u3000d",
    "Hello, world!", "don't DON'T it'S we'Ll I'M they'Ve", "1", "12", "123", "1234", "1234567890", "3.14 1,000 v2.0.1",
    "你好,世界!", "请识别图片中的文字。\n第二行", "中文English混排123", "東京タワー", "안녕하세요 세계", "Привет, мир!",
    "é", "e\u0301", "ﬁ ﬂ ﬀ", "Å Å", "ß SS", "İstanbul ıi", "ſ 'ſ 'K", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดี",
    "😀", "👍🏽", "👩‍👩‍👧‍👦", "🇨🇳🇩🇪", "a😀b😀", "x² ½ Ⅷ ① ٣٤٥", "\ufeffBOM", "\u200bzero\u200dwidth", "\u0000\u0001\u007f\u0085",
    "\U0001f9d1\U0001f3fb\u200d\U0001f4bb \U00020000 \U0010ffff", "[gMASK]<sop><|user|>\nHi<|assistant|>\n",
    "<|begin_of_image|><|image|><|image|><|image|><|end_of_image|>Text Recognition:", "<|image|", "<<|image|>>", "<|user|><|user",
    "<think>x</think>", "<think></think>\n", "/nothink", "a/nothink b", "/nothinking", "<|endoftext|>", " <|user|> ", "<sop",
    "def f(x):\n    return x\n\n\nprint(f(1))", "a  b   c    d", "\\frac{a}{b}", "!!!???", "...\n\n", "#include <x>\n", "'s 's's", "''", "_a_b_",
]  # fmt: skip

ALPHABETS = [
    "abc ABC", "  \n\t\r", "0123456789", "'sStTrRdDlLmMvVeE", ".,;:!?-_/\\()[]{}<>|@#$%^&*+=~`\"", "äöüßéèñ", "你好世界图片文字。,!?",
    "あいうえおカキク", "한국어", "Привет", "😀👍🏽❤️\u200d", "\u00a0\u3000\u2028\u0085", "٣१Ⅷ½", "\u0301\u0323",
]  # fmt: skip


def fuzz(count, seed):
    """Strings that mix a few alphabets, with special tokens thrown in."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        pool = rng.sample(ALPHABETS, rng.randint(1, 4))
        pieces = ["".join(rng.choices(rng.choice(pool), k=rng.randint(1, 5))) for _ in range(rng.randint(1, 8))]
        if rng.random() < 0.2:
            pieces.insert(rng.randrange(len(pieces) + 1), rng.choice(LAYOUT_45))
        texts.append("".join(pieces))
    return texts


def train(ignore_merges, vocab_size):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    split = pre_tokenizers.Split(pattern=Regex(PATTERN), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_tokens(
        [AddedToken(text, special=text not in ORDINARY_45, normalized=False) for text in LAYOUT_45]
    )
    return tokenizer


def id_lists(tokenizer, encoded, vocab_size, seed):
    """Ids as a model may emit them: cut inside characters, specials anywhere, ids that no token has."""
    rng = random.Random(seed)
    lists = [[], [vocab_size + 5], [0, vocab_size, 1, vocab_size + 100]]
    for ids in encoded[:60]:
        if len(ids) > 1:
            lists.append(ids[1:])
            lists.append(ids[:-1])
    for _ in range(80):
        lists.append([rng.randrange(vocab_size) for _ in range(rng.randint(1, 12))])
    return lists


def load(backend, config):
    """As AutoTokenizer makes it of a checkpoint's two files."""
    with tempfile.TemporaryDirectory() as folder:
        backend.save(f"{folder}/tokenizer.json")
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
        Path(folder, "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        return AutoTokenizer.from_pretrained(folder)


def encode(tokenizer, text):
    """As ProcessorMixin.apply_chat_template does: nothing is added to a prompt that begins with bos."""
    has_bos = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    return tokenizer(text, add_special_tokens=not has_bos)["input_ids"]


def skipped_ids(tokenizer):
    """The ids that decoding leaves out, which are more than tokenizer.all_special_ids."""
    return [i for i in range(len(tokenizer)) if tokenizer.decode([i]) and not tokenizer.decode([i], skip_special_tokens=True)]


def record(name, backend, config, files):
    """One tokenizer: its two files, texts with their ids, and ids with their texts."""
    tokenizer = load(backend, config)
    texts = TEXTS + fuzz(250, seed=7)
    encoded = [encode(tokenizer, text) for text in texts]
    lists = id_lists(tokenizer, encoded, len(tokenizer), seed=11)
    files[name] = {
        "tokenizer": json.loads(backend.to_str()),
        "config": config,
        "length": len(tokenizer),
        "specialIds": skipped_ids(tokenizer),
        "encode": [[text, ids] for text, ids in zip(texts, encoded)],
        "decode": [
            [ids, tokenizer.decode(ids, skip_special_tokens=True), tokenizer.decode(ids, skip_special_tokens=False)]
            for ids in lists
        ],
    }


def with_bos(backend):
    backend.post_processor = processors.TemplateProcessing(
        single="[gMASK] <sop> $A", special_tokens=[(t, backend.token_to_id(t)) for t in ("[gMASK]", "<sop>")]
    )
    return backend


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city: 天气 <b>\"now\"</b> & 'later' / \\ \u2028 \x7f 😀",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": [], "n": [1, 2.5, None, True]},
    },
}  # fmt: skip

IMAGE = {"type": "image", "image": "a.png"}
VIDEO = {"type": "video", "video": "b.mp4"}


def text(content):
    return {"type": "text", "text": content}


CHATS = {
    "plain": [{"role": "user", "content": "What is this?"}],
    "image": [{"role": "user", "content": [IMAGE, text("Text Recognition:")]}],
    "two images": [{"role": "user", "content": [IMAGE, text("and"), IMAGE, text("differ how?")]}],
    "video": [{"role": "user", "content": [VIDEO, text("Describe it.")]}],
    "system and turns": [
        {"role": "system", "content": "  Be brief.\n"},
        {"role": "user", "content": [text("Hi")]},
        {"role": "assistant", "content": [text("<think>hm</think>\n\n Hello! ")]},
        {"role": "user", "content": "And  now?\n"},
    ],
    "unicode": [{"role": "user", "content": "你好 \u00e9 <&> \"quoted\" \\ \u2028 😀\ttab"}],
    "ends with an answer": [
        {"role": "user", "content": "Count"},
        {"role": "assistant", "content": "One, two, "},
    ],
    "thinking kept after the last question": [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A", "reasoning_content": "\n because \n"},
    ],
    "tool calls": [
        {"role": "user", "content": "Weather in Berlin and 北京?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Berlin", "days": 3}}},
                {"type": "function", "function": {"name": "get_weather", "arguments": '{"city": "北京"}'}},
            ],
        },
        {"role": "tool", "content": '{"t": 4.5}'},
        {"role": "tool", "content": "sunny"},
        {"role": "assistant", "content": "4.5 and sunny."},
        {"role": "skip", "content": "x"},
        {"role": "user", "content": "Thanks"},
        {"role": "stop", "content": "x"},
        {"role": "user", "content": "never shown"},
    ],
}

# The simple templates know no tools and only the plain roles.
SIMPLE = ["plain", "image", "two images", "video", "system and turns", "unicode", "ends with an answer"]

VARIANTS = [
    {"add_generation_prompt": True},
    {"add_generation_prompt": False},
    {"add_generation_prompt": True, "enable_thinking": False},
    {"continue_final_message": True},
    {"add_generation_prompt": True, "tools": [TOOL], "debug": 1, "bos_token": "<s>"},
]


def render_all():
    cases = []
    for path in sorted((HERE / "templates").glob("*.jinja")):
        template = path.read_text(encoding="utf-8")
        for name, messages in CHATS.items():
            if path.stem != "tools" and name not in SIMPLE:
                continue
            for variant in VARIANTS:
                if variant.get("continue_final_message") and messages[-1]["content"] is None:
                    continue
                try:
                    rendered = render_jinja_template([messages], chat_template=template, **variant)[0][0]
                except ValueError:  # the template drops the final message, e.g. for an unknown role
                    rendered = None
                cases.append({"template": path.name, "chat": name, "variant": variant, "text": rendered})
    return {"chats": CHATS, "cases": cases}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    files = {}
    record("bpe", train(False, 1100), {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}, files)
    # Whole words of the vocabulary win over merges; some tokens are made special by the second file alone.
    config = {
        "additional_special_tokens": ["<think>"],
        "extra_special_tokens": {"call_token": "<tool_call>"},
        "unk_token": "</think>",
        "clean_up_tokenization_spaces": True,
    }
    record("ignore-merges", train(True, 700), config, files)
    record("adds-prefix", with_bos(train(False, 400)), {"bos_token": "[gMASK]"}, files)
    for name, content in files.items():
        (OUT / f"{name}.json").write_text(json.dumps(content, ensure_ascii=True) + "\n", encoding="utf-8")
    (OUT / "templates.json").write_text(json.dumps(render_all(), ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
