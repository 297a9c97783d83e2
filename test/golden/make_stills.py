"""Writes data/stills/*.json: small picture files, honest and odd, and what Pillow reads from them.

    pip install numpy pillow && python test/golden/make_stills.py
"""

import base64
import io
import json
import sys
import warnings
from pathlib import Path
from zlib import crc32

import numpy as np
import PIL
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stills import bmps, gifs, pngs, tiffs, webps  # noqa: E402

OUT = Path(__file__).resolve().parent / "data" / "stills"
FORMATS = {"gif": gifs, "png": pngs, "bmp": bmps, "tiff": tiffs, "webp": webps}


def decode(data, mode):
    """RGB as transformers has it, or as a viewer shows it: upright, on white, of 16 bits the upper ones."""
    image = Image.open(io.BytesIO(data))
    if mode == "huggingface":
        return image.convert("RGB")
    opened, image = image, ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        grey, transparent = np.array(image), image.info.get("transparency")
        bits = opened.tag_v2[258][0] if opened.format == "TIFF" else 16
        image = Image.fromarray((grey >> bits - 8).astype(np.uint8))
        if transparent is not None:
            image.putalpha(Image.fromarray(np.where(grey == transparent, 0, 255).astype(np.uint8)))
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def judged(data, mode):
    try:
        rgb = np.array(decode(data, mode))
    except Exception:
        return None  # refused
    return {"width": rgb.shape[1], "height": rgb.shape[0], "rgb": crc32(rgb.tobytes())}


def main():
    warnings.simplefilter("ignore")
    OUT.mkdir(parents=True, exist_ok=True)
    for name, module in FORMATS.items():
        rows = []
        for case, data in module.files():
            rows.append({
                "name": case,
                "file": base64.b64encode(data).decode(),
                **{mode: judged(data, mode) for mode in ("huggingface", "default")},
            })
        text = ",\n".join(json.dumps(row) for row in rows)
        made_by = json.dumps(f"test/golden/make_stills.py, Pillow {PIL.__version__}")
        (OUT / f"{name}.json").write_text(f'{{ "madeBy": {made_by}, "files": [\n{text}\n] }}\n')
        print(f"{name}: {len(rows)} files, {sum(row['huggingface'] is None for row in rows)} refused")


main()
