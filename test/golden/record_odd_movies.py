"""Makes the video files of data/odd-movies, which are cut, edited or muxed in uncommon ways, and records what PyAV reads.

    pip install av numpy && python test/golden/record_odd_movies.py

Not part of make.py: other versions of the encoders write other files, so those of the repository are kept. The two
copied files are not made here: `ffmpeg -i x -c copy copied.mpegts`, and with `-ss 0.55` before `-i` copied-cut.mp4.
"""

import io
import json
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from record_movies import compact, film

DATA = Path(__file__).resolve().parent / "data" / "odd-movies"
HEIGHT, WIDTH = 48, 64
FPS = 8
COUNT = 16
ROWS, COLUMNS = 2, 2  # blocks whose mean colours are recorded
H264 = {"crf": "32", "preset": "medium", "x264-params": "keyint=6:min-keyint=6:scenecut=0:bframes=2:b-adapt=0:b-pyramid=0"}
OPEN_GOP = {**H264, "x264-params": H264["x264-params"] + ":open-gop=1"}


def encode(target, codec, options, format=None, count=COUNT):
    with av.open(target, "w", format=format) as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in film(count, HEIGHT, WIDTH):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def packets(codec, options):
    """A stream of encoded frames, one after another, and its packets."""
    file = io.BytesIO()
    encode(file, codec, options, format="nut")
    file.seek(0)
    stream = av.open(file).streams.video[0]
    found = [packet for packet in stream.container.demux(stream) if packet.size]
    return stream, [(bytes(p), round(p.pts * p.time_base * FPS), i, p.is_keyframe) for i, p in enumerate(found)]


def mux(name, encoded, options=None, first=0, last=None, shift=0, sound=None, videos=1):
    """Packets first .. last-1, as a file; `shift` frames are added to their times."""
    template, found = encoded
    # Not named .ts, which is TypeScript's here.
    format = "mpegts" if name.endswith("ts") else None
    delay = max((order - time for _, time, order, _ in found), default=0)
    with av.open(str(DATA / name), "w", options=options or {}, format=format) as container:
        audio = container.add_stream("aac", rate=8000) if sound == "first" else None
        streams = [container.add_stream_from_template(template) for _ in range(videos)]
        audio = container.add_stream("aac", rate=8000) if sound == "last" else audio
        if audio:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 8000, 0
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        for data, time, order, is_key in found[first:last]:
            for stream in streams:
                packet = av.Packet(data)
                packet.pts, packet.dts = time + shift, order - delay + shift
                packet.duration, packet.time_base = 1, Fraction(1, FPS)
                packet.is_keyframe, packet.stream = is_key, stream
                container.mux(packet)


def boxes(data, path, start=0, end=None):
    """Where a box of this path of names begins, and its size."""
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if name.decode("latin1") == path[0]:
            return (at, size) if len(path) == 1 else boxes(data, path[1:], at + 8, at + size)
        at += size
    return None


def replaced(data, path, box):
    """The same file with the box at `path` replaced or, where it lacks, put in; the index comes last in these files."""
    data = bytearray(data)
    found = boxes(data, path)
    at, size = found if found else (boxes(data, path[:-1])[0] + 8, 0)
    for depth in range(1, len(path)):
        parent, old = boxes(data, path[:depth])
        data[parent : parent + 4] = struct.pack(">I", old + len(box) - size)
    data[at : at + size] = box
    return bytes(data)


def box(name, body):
    return struct.pack(">I4s", len(body) + 8, name.encode()) + body


def edit(name, source, edits):
    """Edits as (frames shown, first frame or None), in halves of frames if need be."""
    data = (DATA / source).read_bytes()
    at, _ = boxes(data, ["moov", "mvhd"])
    movie = struct.unpack(">I", data[at + 20 : at + 24])[0]
    at, _ = boxes(data, ["moov", "trak", "mdia", "mdhd"])
    media = struct.unpack(">I", data[at + 20 : at + 24])[0]
    entries = b"".join(
        struct.pack(">IiI", round(shown * movie / FPS), -1 if first is None else round(first * media / FPS), 0x10000)
        for shown, first in edits
    )
    body = struct.pack(">II", 0, len(edits)) + entries
    (DATA / name).write_bytes(replaced(data, ["moov", "trak", "edts"], box("edts", box("elst", body))))


def renamed(name, source, path, new):
    """A table is there no more for those who look for its name."""
    data = bytearray((DATA / source).read_bytes())
    at, _ = boxes(data, path)
    data[at + 4 : at + 8] = new.encode()
    (DATA / name).write_bytes(bytes(data))


def compact_sizes(name, source):
    """Sizes of 16 bits (stz2) in place of 32."""
    data = (DATA / source).read_bytes()
    at, size = boxes(data, ["moov", "trak", "mdia", "minf", "stbl", "stsz"])
    count = struct.unpack(">I", data[at + 16 : at + 20])[0]
    sizes = struct.unpack(f">{count}I", data[at + 20 : at + size])
    table = box("stz2", struct.pack(f">III{count}H", 0, 16, count, *sizes))
    (DATA / name).write_bytes(replaced(data, ["moov", "trak", "mdia", "minf", "stbl", "stsz"], table))


def write_files():
    closed, opened = packets("libx264", H264), packets("libx264", OPEN_GOP)
    mux("plain.mp4", closed)
    edit("edit-in-gop.mp4", "plain.mp4", [(8, 2 + 5)])
    edit("edit-between-frames.mp4", "plain.mp4", [(9, 2 + 4.5)])
    edit("edit-ends-early.mp4", "plain.mp4", [(7.5, 2)])
    edit("edit-after-pause.mp4", "plain.mp4", [(3, None), (10, 2 + 3)])
    edit("edit-pause-between.mp4", "plain.mp4", [(4, 2), (2, None), (5, 2 + 8)])
    edit("edits.mp4", "plain.mp4", [(4, 2 + 1), (5, 2 + 9)])
    edit("edits-repeat.mp4", "plain.mp4", [(4, 2 + 4), (4, 2 + 4)])
    edit("edits-back.mp4", "plain.mp4", [(4, 2 + 10), (5, 2 + 1)])
    edit("edit-of-no-length.mp4", "plain.mp4", [(0, 2 + 5)])
    edit("edit-before-all.mp4", "plain.mp4", [(16, 0)])
    compact_sizes("sizes-16-bit.mp4", "plain.mp4")
    renamed("no-key-table.mp4", "plain.mp4", ["moov", "trak", "mdia", "minf", "stbl", "stss"], "free")
    renamed("no-display-times.mp4", "plain.mp4", ["moov", "trak", "mdia", "minf", "stbl", "ctts"], "free")
    mux("no-edits.mp4", closed, {"use_editlist": "0"})
    mux("negative-offsets.mp4", closed, {"movflags": "negative_cts_offsets"})
    mux("fragments.mp4", closed, {"movflags": "frag_keyframe+empty_moov"})
    mux("fragments-moof-base.mp4", closed, {"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    mux("one-fragment.mp4", closed, {"movflags": "empty_moov"})
    mux("fragments-delayed.mp4", closed, {"movflags": "frag_keyframe+delay_moov"})
    mux("index-and-fragments.mp4", closed, {"movflags": "frag_keyframe"})
    mux("quicktime.mov", closed)
    mux("fragments-cut.mp4", closed, {"movflags": "frag_keyframe+empty_moov"}, first=3)
    mux("two-videos.mp4", closed, videos=2)
    mux("sound-first.mp4", closed, sound="first")
    for kind in ("mp4", "mkv", "mpegts"):
        mux(f"cut.{kind}", closed, first=3)
        mux(f"open-gop.{kind}", opened)
        mux(f"open-gop-cut.{kind}", opened, first=6, shift=-4)
    mux("late.mkv", closed, shift=40)
    mux("sound.mkv", closed, sound="last")
    mux("stream.mkv", closed, {"live": "1"})
    mux("sound.mpegts", closed, sound="last")
    mux("blu-ray.m2ts", closed, {"mpegts_m2ts_mode": "1"})
    mux("hidden.webm", packets("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "8", "b": "60k", "g": "8"}))
    vp9 = packets("libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "8", "b": "40k", "g": "8"})
    mux("hidden-vp9.webm", vp9)
    mux("vp9.mp4", vp9)
    hevc = packets("libx265", {"crf": "34", "x265-params": "keyint=6:min-keyint=6:bframes=2:log-level=none:open-gop=0"})
    hevc_open = packets("libx265", {"crf": "34", "x265-params": "keyint=6:min-keyint=6:bframes=2:log-level=none:open-gop=1"})
    mux("hevc.mp4", hevc)
    mux("hevc.mpegts", hevc)
    mux("hevc-open-gop.mkv", hevc_open)
    for kind in ("mp4", "webm"):
        encode(str(DATA / f"av1.{kind}"), "libsvtav1", {"preset": "10", "crf": "45", "g": "8"})
    # For errors.
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb", "encryption_kid": "a7e61c373e219033c21091fa607bf3b8"}
    mux("encrypted.mp4", closed, key)
    mux("mpeg4.mp4", packets("mpeg4", {"g": "8"}))
    mux("mpeg2.mpegts", packets("mpeg2video", {"g": "8", "q": "20"}))
    with av.open(str(DATA / "sound-only.mpegts"), "w", format="mpegts") as container:
        audio = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 8000, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def blocks(frame):
    """Mean colours of ROWS x COLUMNS blocks."""
    height, width, _ = frame.shape
    cells = frame.reshape(ROWS, height // ROWS, COLUMNS, width // COLUMNS, 3).mean((1, 3))
    return [round(float(value)) for value in cells.ravel()]


def movie(path):
    with av.open(str(path)) as container:
        if not container.streams.video:
            return {"error": "no video"}
        try:
            frames = list(container.decode(video=0))
        except av.error.InvalidDataError as error:
            return {"error": error.strerror}
        return {
            "fps": float(container.streams.video[0].average_rate),
            "seconds": [round(float(frame.time), 6) for frame in frames],
            "blocks": [blocks(frame.to_ndarray(format="rgb24")) for frame in frames],
        }


def start(path, share):
    """How many frames a file has that was cut off, and the last of them."""
    data = path.read_bytes()
    with av.open(io.BytesIO(data[: int(len(data) * share)])) as container:
        frames = list(container.decode(video=0))
    return {"frames": len(frames), "last": blocks(frames[-1].to_ndarray(format="rgb24"))}


CUT = ("stream.mkv", "sound.mkv", "open-gop.mkv", "hidden.webm", "hidden-vp9.webm", "copied.mpegts")


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    write_files()
    movies = {path.name: movie(path) for path in sorted(DATA.iterdir()) if path.suffix != ".json"}
    cut = {name: {share: start(DATA / name, share) for share in (0.6, 0.8, 0.95)} for name in CUT}
    (DATA / "odd-movies.json").write_text(compact(json.dumps({"movies": movies, "cut": cut}, indent=1)) + "\n")


if __name__ == "__main__":
    main()
