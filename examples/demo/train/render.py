"""Renders short text lines into small grey pictures, the same for training and for measuring.

Everything random comes from one seeded generator, so a seed names a sequence
of pictures (given the same Pillow and font files). As a program it draws one
picture of a given text:

    python render.py hello.png "Hello world"
"""

import argparse
import random
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent

# Found by name through the system's font folders (Debian: fonts-dejavu, fonts-liberation).
FONTS = ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "LiberationSans-Regular.ttf", "LiberationMono-Regular.ttf")
SIZES = (16, 20)
MAX_CHARACTERS = 16
CELL = 28  # pixels a merged image token covers in each direction, and from line to line
SHAKE = 2  # pixels the text strays up or down from the middle of its rows

# (width, height, lines): all sides are multiples of 28 and the area is large
# enough, so the image processor never resizes these pictures.
CANVASES = {
    1: ((224, 28), (252, 28), (280, 28)),
    2: ((140, 56), (168, 56), (196, 56), (224, 56), (280, 56)),
    3: ((168, 84), (224, 84), (252, 84), (280, 84)),
}

PUNCTUATION = ",.:;!?"
ANY_CHARACTER = string.ascii_letters + string.digits + string.punctuation


@dataclass
class Glyph:
    """One drawn character and the box of its advance."""

    character: str
    left: float
    right: float
    top: float
    bottom: float


@dataclass
class Picture:
    """Grey pixels, the text they show and where each character is."""

    pixels: np.ndarray
    text: str
    lines: list[list[Glyph]]

    def image(self) -> Image.Image:
        return Image.fromarray(self.pixels)


def load_words(path: Path = HERE / "words.txt") -> list[str]:
    """The word list: two to eleven letters a word."""
    return [word for word in path.read_text().split() if 1 < len(word) < 12]


class Renderer:
    """A seeded source of pictures."""

    def __init__(self, seed: int, words: list[str] | None = None):
        self.random = random.Random(seed)
        self.words = words or load_words()
        self.fonts: dict[tuple[str, int], ImageFont.FreeTypeFont] = {}

    def font(self) -> ImageFont.FreeTypeFont:
        """A random face and size."""
        key = (self.random.choice(FONTS), self.random.randint(*SIZES))
        if key not in self.fonts:
            self.fonts[key] = ImageFont.truetype(*key)
        return self.fonts[key]

    def word(self) -> str:
        word = self.random.choice(self.words)
        word = self.random.choice([word, word, word.capitalize(), word.upper()])
        return word + self.punctuation()

    def number(self) -> str:
        """A whole number, price, date, time, share, mark or decimal."""
        pick = self.random.randint
        shapes = (
            lambda: f"{pick(0, 9999)}",
            lambda: f"{pick(10000, 9999999)}",
            lambda: f"${pick(0, 999)}.{pick(0, 99):02d}",
            lambda: f"{pick(1, 12):02d}/{pick(1, 28):02d}/{pick(1990, 2030)}",
            lambda: f"{pick(0, 23):02d}:{pick(0, 59):02d}",
            lambda: f"{pick(1, 100)}%",
            lambda: f"#{pick(1, 99999)}",
            lambda: f"{pick(0, 99)}.{pick(0, 999)}",
        )
        return self.random.choice(shapes)() + self.punctuation()

    def jumble(self) -> str:
        return "".join(self.random.choice(ANY_CHARACTER) for _ in range(self.random.randint(2, 7)))

    def punctuation(self) -> str:
        return self.random.choice(PUNCTUATION) if self.random.random() < 0.12 else ""

    def token(self, kind: str) -> str:
        """One word of a line; 'mixed' draws words and numbers, rarely a jumble."""
        if kind == "mixed":
            chance = self.random.random()
            kind = "words" if chance < 0.6 else "numbers" if chance < 0.96 else "jumble"
        return {"words": self.word, "numbers": self.number, "jumble": self.jumble}[kind]()

    def line(self, kind: str, font: ImageFont.FreeTypeFont, width: float) -> str:
        """Tokens up to a random length that fit the width (at least one token, cut if it must be)."""
        target = self.random.randint(3, MAX_CHARACTERS)
        text = self.token(kind)
        while len(text) > target or font.getlength(text) > width:
            text = text[:-1] if len(text) <= 3 else self.token(kind)[:target]
        while True:
            longer = f"{text} {self.token(kind)}"
            if len(longer) > target or font.getlength(longer) > width:
                return text
            text = longer

    def picture(self, width: int, height: int, lines: int, kind: str = "mixed") -> Picture:
        """Dark text on a light ground, one font, a line in the middle of every 28 pixels."""
        font = self.font()
        ascent, descent = font.getmetrics()
        tall = ascent + descent
        top = (CELL - tall) / 2 + self.random.uniform(-SHAKE, SHAKE)
        left = self.random.randint(2, 8)
        image = Image.new("L", (width, height), self.random.randint(200, 255))
        draw = ImageDraw.Draw(image)
        ink = self.random.randint(0, 90)
        texts, glyphs = [], []
        for row in range(lines):
            text = self.line(kind, font, width - left - 4)
            y = max(0, round(top)) + row * CELL
            draw.text((left, y), text, fill=ink, font=font)
            texts.append(text)
            glyphs.append(place_glyphs(text, font, left, y, tall))
        return Picture(np.asarray(image), "\n".join(texts), glyphs)

    def any_picture(self, lines: int, kind: str = "mixed") -> Picture:
        """A picture on a random canvas for so many lines."""
        width, height = self.random.choice(CANVASES[lines])
        return self.picture(width, height, lines, kind)


def place_glyphs(text: str, font: ImageFont.FreeTypeFont, left: float, top: float, tall: float) -> list[Glyph]:
    """The boxes of a line's characters, from the font's advances."""
    edges = [left + font.getlength(text[:count]) for count in range(len(text) + 1)]
    return [Glyph(text[i], edges[i], edges[i + 1], top, top + tall) for i in range(len(text))]


def draw_text(text: str, face: str = FONTS[0], size: int = 18, left: int = 5) -> Image.Image:
    """Black on white, a line in the middle of every 28 pixels, on the narrowest canvas that fits."""
    lines = text.split("\n")
    font = ImageFont.truetype(face, size)
    tall = sum(font.getmetrics())
    need = left + 4 + max(font.getlength(line) for line in lines)
    canvases = [canvas for canvas in CANVASES.get(len(lines), ()) if canvas[0] >= need]
    if not canvases:
        raise ValueError("the demo reads one to three lines of up to about 270 pixels")
    image = Image.new("L", canvases[0], 255)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((left, max(0, round((CELL - tall) / 2)) + row * CELL), line, fill=0, font=font)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="picture to write")
    parser.add_argument("text", nargs="+", help="one argument a line")
    parser.add_argument("--face", default=FONTS[0], help=f"font file, trained on {', '.join(FONTS)}")
    parser.add_argument("--size", type=int, default=18)
    arguments = parser.parse_args()
    draw_text("\n".join(arguments.text), arguments.face, arguments.size).save(arguments.file)


if __name__ == "__main__":
    main()
