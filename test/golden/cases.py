"""The conversations that are recorded for each checkpoint. Paths are relative to test/golden/data."""

from dataclasses import dataclass, field

MAX_NEW_TOKENS = 24


@dataclass(frozen=True)
class Case:
    name: str
    messages: list
    template_options: dict = field(default_factory=dict)
    pillow_pixels: bool = False  # also record the pixel values of the Pillow-backed processor


def text(words):
    return {"type": "text", "text": words}


def image(name):
    return {"type": "image", "image": f"images/{name}"}


def video(name):
    return {"type": "video", "video": f"videos/{name}"}


def user(*parts):
    return {"role": "user", "content": parts[0] if isinstance(parts[0], str) else list(parts)}


def system(words):
    return {"role": "system", "content": words}


def assistant(words):
    return {"role": "assistant", "content": [text(words)]}


def cases_for(checkpoint):
    cases = [
        Case("text", [user("Where is the weather grey? Grüße aus 東京, it's 12345 o'clock 🙂")]),
        Case("one-image", [user(image("sign.png"), text("What is shown in this picture?"))], pillow_pixels=True),
        Case(
            "two-images",
            [
                user(
                    text("Compare the first picture\n"),
                    image("photo.png"),
                    text(" with the second one\n"),
                    image("tall.png"),
                    text("Which is larger?"),
                )
            ],
        ),
        Case(
            "chat",
            [
                system("You are a helpful assistant that answers in one short sentence."),
                user(image("small.png"), text("What is this?")),
                assistant("<think>A small picture.</think>\nA hill in the morning."),
                user("And where is it?"),
                assistant("That is not shown."),
                user("Read  the\ttext,\n\nplease!"),
            ],
        ),
    ]
    if checkpoint == "glm_ocr-tiny":
        formats = ["photo.jpg", "photo.webp", "transparent.png", "rotated.jpg", "palette.png", "grey.png"]
        parts = [part for name in formats for part in (image(name), text(f" {name}\n"))]
        cases += [
            Case("nothink", [user(image("tall.png"), text("Text Recognition:"))], {"enable_thinking": False}),
            Case("formats", [user(*parts)]),
        ]
    else:
        cases += [
            Case("odd-video", [user(video("odd"), text("Describe the video."))]),
            Case(
                "two-videos",
                [user(text("First "), video("walk"), text(" then "), video("turn"), text("Which one is longer?"))],
            ),
            Case(
                "still-and-long",
                [user(video("still"), text("What is this?")), assistant("One frame."), user(video("long"), text("And this?"))],
            ),
        ]
    return cases
