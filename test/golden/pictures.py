"""Draws the input pictures and videos. They are committed: another Pillow may compress them differently."""

import json
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = ImageFont.load_default(size=18)


def draw_all(folder):
    folder.mkdir(parents=True, exist_ok=True)
    sign().save(folder / "sign.png", optimize=True)
    photo(131, 94, 5).save(folder / "photo.png", optimize=True)
    tall().save(folder / "tall.png", optimize=True)
    photo(23, 17, 6).save(folder / "small.png", optimize=True)
    photo(77, 59, 7).save(folder / "photo.jpg", quality=88)
    sticker().save(folder / "transparent.png", optimize=True)
    rotated_exif(folder / "rotated.jpg")
    sign().resize((89, 61)).convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(folder / "palette.png")
    photo(67, 61, 8).convert("L").save(folder / "grey.png", optimize=True)
    photo(81, 66, 9).save(folder / "photo.webp", quality=80)


def film_all(folder):
    """Videos as folders of numbered frames with a metadata.json."""
    film(folder / "odd", 7, 4.0, 84, 62, 1)
    film(folder / "walk", 10, 5.0, 90, 58, 2)
    film(folder / "turn", 9, 2.5, 57, 95, 3)
    film(folder / "still", 1, 2.0, 70, 60, 4)
    film(folder / "long", 40, 0.1, 56, 31, 5)


def film(folder, count, fps, width, height, seed):
    """A ball that rolls over a slowly changing ground, with the frame's number written on it."""
    folder.mkdir(parents=True, exist_ok=True)
    corners = np.random.Generator(np.random.PCG64(seed)).uniform(30, 225, (4, 3))
    for index in range(count):
        phase = index / max(1, count - 1)
        ground = shade(width, height, np.roll(corners, 1, axis=0) * phase + corners * (1 - phase))
        image = Image.fromarray((ground // 4 * 4).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        x, y = width * (0.2 + 0.6 * phase), height * (0.5 + 0.3 * math.sin(7 * phase))
        pen.ellipse([x - 9, y - 9, x + 9, y + 9], fill=(240, 200, int(255 * phase)))
        pen.text((2, 1), str(index), fill=(0, 0, 0), font=FONT)
        image.save(folder / f"{index:04d}.png", optimize=True)
    metadata = {"fps": fps, "total_num_frames": count, "duration": count / fps}
    (folder / "metadata.json").write_text(json.dumps(metadata) + "\n")


def shade(width, height, corners):
    """Bilinear blend of four corner colours."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = x / max(1, width - 1), y / max(1, height - 1)
    c = np.array(corners, np.float64)
    weights = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]
    return sum(weight[..., None] * colour for weight, colour in zip(weights, c))


def sign():
    """A page with hard edges: text, a circle, a square."""
    image = Image.fromarray(shade(173, 121, [[250, 240, 200], [180, 220, 255], [255, 255, 255], [150, 200, 160]]).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.ellipse([8, 9, 68, 69], fill=(210, 30, 40), outline=(0, 0, 0), width=2)
    pen.rectangle([101, 52, 160, 108], fill=(30, 60, 190), outline=(255, 255, 0), width=3)
    pen.text((74, 14), "STOP 42", fill=(0, 0, 0), font=FONT)
    pen.text((6, 88), "glimt, ok?", fill=(20, 20, 90), font=FONT)
    return image


def photo(width, height, seed):
    """A soft landscape with sensor-like noise."""
    random = np.random.Generator(np.random.PCG64(seed))
    base = shade(width, height, random.uniform(20, 235, (4, 3)))
    y, x = np.mgrid[0:height, 0:width]
    ridge = height * (0.55 + 0.15 * np.sin(x / width * 7 + seed) + 0.08 * np.sin(x / width * 19))
    base[y > ridge] *= [0.45, 0.65, 0.35]
    base += random.normal(0, 9, (height, width, 1)) + random.normal(0, 5, (height, width, 3))
    return Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))


def tall():
    """A narrow receipt, taller than wide."""
    image = Image.new("RGB", (71, 187), (252, 250, 244))
    pen = ImageDraw.Draw(image)
    for row, words in enumerate(["tea 3.10", "rye 2.45", "jam 4.99", "-------", "10.54"]):
        pen.text((3, 6 + 34 * row), words, fill=(30 + 20 * row, 25, 70), font=FONT)
    pen.line([0, 180, 70, 150], fill=(200, 120, 20), width=3)
    return image


def sticker():
    """Alpha over colours that show when alpha is dropped."""
    image = photo(75, 83, 10).convert("RGBA")
    y, x = np.mgrid[0:83, 0:75]
    alpha = np.clip(255 * (1.4 - np.hypot((x - 37) / 37, (y - 41) / 41)), 0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return image


def rotated_exif(path):
    """A picture that asks to be turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(79, 58, 11).save(path, quality=90, exif=exif)
