"""What every answer of a language model is rid of before it is read."""

import re

# Models that reason first show it like this where their server does not cut it off.
_REASONING = re.compile(r"\A\s*<think>.*?(</think>|\Z)", re.DOTALL)


def without_reasoning(answer: str) -> str:
    """The answer behind what a model thought aloud; empty where it only thought."""
    return _REASONING.sub("", answer)


def one_line(text: str) -> str:
    """On one line, and without the half characters that JSON can name and UTF-8 cannot hold."""
    return " ".join(text.encode(errors="replace").decode().split())
