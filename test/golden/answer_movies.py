"""What transformers answers about files of data/movies, read by PyAV and Pillow.

    pip install -r test/golden/requirements.txt av && python test/golden/answer_movies.py

Writes data/movies/answers.json; not part of make.py, as record_movies.py is not.
"""

import json
from pathlib import Path
from zlib import crc32

import av
import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

DATA = Path(__file__).resolve().parent / "data"
CHECKPOINTS = ["glm4v-tiny", "glm46v-flash-tiny"]
FILES = ["h264.mp4", "ntsc.mp4", "variable.mp4", "vp9.webm", "vp8.webm", "patches.gif", "lossy.webp", "patches.png"]
STEPS = 12


def read(path):
    """(frames, metadata) as transformers' load_video has them; it can not read WebM and animations itself."""
    if path.suffix in (".mp4", ".webm"):
        with av.open(str(path)) as container:
            fps = float(container.streams.video[0].average_rate)
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    else:
        with Image.open(path) as image:
            shown = []
            for index in range(image.n_frames):
                image.seek(index)
                shown.append((np.asarray(image.convert("RGB")), image.info["duration"] / 1000))
        frames = [frame for frame, _ in shown]
        fps = len(frames) / sum(seconds for _, seconds in shown)
    return np.stack(frames), {"fps": fps, "total_num_frames": len(frames), "duration": len(frames) / fps}


def main():
    torch.set_num_threads(1)
    lines = []
    for checkpoint in CHECKPOINTS:
        folder = DATA / checkpoint
        processor = AutoProcessor.from_pretrained(folder)
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        for file in FILES:
            frames, metadata = read(DATA / "movies" / file)
            content = [{"type": "video", "video": file}, {"type": "text", "text": "What happens?"}]
            prompt = processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            inputs = processor(text=[prompt], videos=[frames], video_metadata=[metadata], return_tensors="pt")
            output = model.generate(**inputs, do_sample=False, max_new_tokens=STEPS, return_dict_in_generate=True, output_logits=True)
            best = [torch.topk(logits[0], 2).values for logits in output.logits]
            answer = {
                "checkpoint": checkpoint,
                "file": file,
                "inputIds": inputs["input_ids"][0].tolist(),
                "videoGridThw": inputs["video_grid_thw"].tolist(),
                "pixelValues": crc32(inputs["pixel_values_videos"].numpy().tobytes()),
                "tokenIds": output.sequences[0, inputs["input_ids"].shape[1] :].tolist(),
                "leastMargin": round(min(float(pair[0] - pair[1]) for pair in best), 4),
            }
            print(checkpoint, file, answer["videoGridThw"], answer["leastMargin"])
            lines.append(json.dumps(answer))
    (DATA / "movies" / "answers.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
