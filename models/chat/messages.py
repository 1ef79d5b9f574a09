"""One chat with a model that serves an OpenAI-compatible interface."""

import base64
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Messages:
    """What the model is told to be, what it is asked, and the image that it is asked about."""

    system: str
    user: str
    image_png: bytes | None = None

    def content(self) -> list[dict[str, Any]]:
        """As the interface takes it; an image goes as a data URL, before the question."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self._user_content()},
        ]

    def _user_content(self) -> str | list[dict[str, Any]]:
        if self.image_png is None:
            return self.user
        url = f"data:image/png;base64,{base64.b64encode(self.image_png).decode()}"
        return [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": self.user},
        ]
