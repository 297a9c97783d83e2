"""Writes data/verify.safetensors: what src/cli/verify/python/verify.py records of glm4v-tiny, with a small picture in place of
those that it draws, so that the file is small. Read by test/cli/verify.test.ts, which so needs no Python.

    pip install -r test/golden/requirements.txt && python test/golden/make_verify.py
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "src/cli/verify/python"))

import verify  # noqa: E402

drawn_cases = verify.cases


def small_cases(own_picture):
    for name, message, images, video in drawn_cases(own_picture):
        if name == "text":
            yield name, message, images, video
        if name == "picture":
            yield name, message, {"a": verify.drawn(75, 60, 1)}, video


verify.cases = lambda own_picture: list(small_cases(own_picture))
# Where it was made is of no interest.
verify.processor_name = lambda: "any"
sys.argv[1:] = [str(HERE / "data/glm4v-tiny"), str(HERE / "data/verify.safetensors")]
verify.main()
