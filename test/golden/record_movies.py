"""Films the video files of data/movies and records what PyAV and Pillow read from them.

    pip install av numpy pillow && python test/golden/record_movies.py        (needs the ffmpeg command)

Not part of make.py: other versions of the encoders write other files, so those of the repository are kept.
"""

import json
import re
import subprocess
from pathlib import Path
from zlib import crc32

import av
import numpy as np
from PIL import Image, ImageDraw

DATA = Path(__file__).resolve().parent / "data" / "movies"
ROWS, COLUMNS = 3, 4  # blocks whose mean colours are recorded


def film(count, height, width):
    """Moving gradients, whose blue tells the number of the frame."""
    y, x = np.mgrid[0:height, 0:width]
    for i in range(count):
        red = 128 + 100 * np.sin(2 * np.pi * (x / width + i / count))
        green = 128 + 100 * np.cos(2 * np.pi * (y / height - i / count))
        blue = np.full(red.shape, 20 + 200 * i / count)
        yield np.clip(np.stack([red, green, blue], -1) + 0.5, 0, 255).astype(np.uint8)


def encode(name, count, rate, *options, size=(96, 128)):
    height, width = size
    raw = b"".join(frame.tobytes() for frame in film(count, height, width))
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate} -i -".split()
    command = ["ffmpeg", "-y", "-loglevel", "error", *source, *options, str(DATA / name)]
    subprocess.run(command, input=raw, check=True)


def write_movies():
    h264 = "-c:v libx264 -pix_fmt yuv420p -crf 30".split()
    encode("h264.mp4", 36, 12, *h264, "-g", "12", "-bf", "2", "-movflags", "+faststart")
    encode("ntsc.mp4", 20, "30000/1001", *h264, "-g", "50")
    encode("vp9.webm", 36, 12, *"-c:v libvpx-vp9 -pix_fmt yuv420p -b:v 40k -g 12".split())
    encode("vp8.webm", 20, "24000/1001", *"-c:v libvpx -pix_fmt yuv420p -b:v 60k".split())
    # Each frame is shown longer than the one before.
    encode("variable.mp4", 12, 10, "-vf", "setpts='(N*(N+3)/2)/10/TB'", "-vsync", "vfr", *h264, "-bf", "0")
    upright = DATA / "upright.mp4"
    encode(upright.name, 4, 4, *h264)
    subprocess.run(
        ["ffmpeg", "-y", "-loglevel", "error", "-i", upright, "-c", "copy", "-metadata:s:v:0", "rotate=90", DATA / "turned.mp4"],
        check=True,
    )
    upright.unlink()
    encode("soundless.mkv", 6, 6, *h264)
    silence = "-f lavfi -i anullsrc=r=8000:cl=mono -t 0.5 -c:a aac".split()
    subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *silence, str(DATA / "sound-only.mp4")], check=True)


def shapes(count, alpha):
    """A dot that moves over nothing, half of it translucent where the format can have that."""
    for i in range(count):
        image = Image.new("RGBA", (50, 40), (0, 0, 0, 0))
        draw = ImageDraw.Draw(image)
        draw.ellipse((4 * i, 3 * i, 4 * i + 20, 3 * i + 16), (200, 20 * i, 40, 255))
        draw.rectangle((25, 20, 30 + i, 35), (10, 200, 20 * i, alpha))
        yield image


def write_animations():
    frames = list(shapes(7, 255))
    keep = dict(save_all=True, append_images=frames[1:], loop=0)
    frames[0].save(DATA / "cleared.gif", **keep, disposal=2, duration=[100, 50, 50, 200, 40, 0, 300])
    solid = [Image.alpha_composite(Image.new("RGBA", f.size, (250, 240, 20, 255)), f).convert("RGB") for f in frames]
    solid[0].save(DATA / "patches.gif", save_all=True, append_images=solid[1:], duration=80)
    solid[0].save(DATA / "still.gif")
    soft = list(shapes(7, 120))
    soft[0].save(DATA / "blended.webp", save_all=True, append_images=soft[1:], duration=125, lossless=True)
    solid[0].save(DATA / "lossy.webp", save_all=True, append_images=solid[1:], duration=40, quality=70)
    soft[0].save(DATA / "cleared.png", save_all=True, append_images=soft[1:], duration=250, disposal=1, blend=0)
    solid[0].save(DATA / "patches.png", save_all=True, append_images=solid[1:], duration=250, disposal=0, blend=0)
    frames[0].save(DATA / "over.png", save_all=True, append_images=frames[1:], duration=250, disposal=2, blend=1)


def blocks(frame):
    """Mean colours of ROWS x COLUMNS blocks."""
    height, width, _ = frame.shape
    cells = frame.reshape(ROWS, height // ROWS, COLUMNS, width // COLUMNS, 3).mean((1, 3))
    return [round(float(value), 1) for value in cells.ravel()]


def movie(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(video=0))
        return {
            "fps": float(stream.average_rate),
            "width": stream.width,
            "height": stream.height,
            "seconds": [round(float(frame.time), 6) for frame in frames],
            "blocks": [blocks(frame.to_ndarray(format="rgb24")) for frame in frames],
        }


def animation(path):
    frames, seconds = [], []
    with Image.open(path) as image:
        first = np.asarray(image.convert("RGB"))
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            shown = image.convert("RGBA")
            frames.append(Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB"))
            seconds.append(image.info.get("duration", 0) / 1000)
    width, height = frames[0].size
    return {
        "width": width,
        "height": height,
        "seconds": seconds,
        "first": crc32(first.tobytes()),
        "rgb": [crc32(np.asarray(frame).tobytes()) for frame in frames],
    }


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    write_movies()
    write_animations()
    record = {"movies": {}, "animations": {}}
    for path in sorted(DATA.iterdir()):
        if path.suffix in (".mp4", ".webm", ".mkv") and path.stem != "sound-only":
            record["movies"][path.name] = movie(path)
        elif path.suffix in (".gif", ".webp", ".png"):
            record["animations"][path.name] = animation(path)
    (DATA / "movies.json").write_text(compact(json.dumps(record, indent=1)) + "\n")
    for path in sorted(DATA.iterdir()):
        print(f"{path.stat().st_size:7} {path.name}")


def compact(text):
    """Lists of numbers on one line."""
    return re.sub(r"\[\s*((?:-?[\d.e-]+,?\s*)+)\]", lambda found: "[" + " ".join(found[1].split()) + "]", text)


if __name__ == "__main__":
    main()
