"""What a multimodal model answers, and images to ask it about."""

import base64
import json
from collections.abc import Collection
from typing import Any

import numpy as np

from models.images import encode_png
from models.judges.questions import Question


def answer_text(no: Collection[Question] = ()) -> str:
    """All six answers as JSON; yes but to the questions in `no`."""
    return json.dumps(
        {
            str(question): {
                "reason": f"because of {question}",
                "answer": "no" if question in no else "yes",
            }
            for question in Question
        }
    )


def image(level: int, side_px: int = 32) -> bytes:
    """A flat PNG of one grey level."""
    return encode_png(np.full((side_px, side_px), level, np.uint8), f"s{level}")


def shown(asked: dict[str, Any]) -> bytes:
    """The PNG in a request."""
    url = asked["messages"][1]["content"][0]["image_url"]["url"]
    return base64.b64decode(url.removeprefix("data:image/png;base64,"))
