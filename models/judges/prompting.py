"""What a judge is asked: the messages about one image, from a versioned prompt file."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

import yaml

from models.chat.messages import Messages
from models.judges.questions import Question
from models.vocabulary.revisions import files_hash

_PACKAGE = "models.judges"


@dataclass(frozen=True, slots=True)
class JudgePrompts:
    """The templates of one version, with its questions filled in."""

    system: str
    user: str

    def ask(self, png: bytes) -> Messages:
        """Ask all six questions about an image."""
        return Messages(self.system, self.user, png)


@cache
def load_prompts(version: str) -> JudgePrompts:
    """Read the prompt file of a version."""
    settings = yaml.safe_load(files(_PACKAGE).joinpath(prompt_file(version)).read_text())
    questions = settings["questions"]
    lines = [f"- {question}: {questions[question]}" for question in Question]
    assert len(questions) == len(lines), f"prompt {version} has questions that nobody reads"
    user = Template(settings["user"]).substitute(questions="\n".join(lines))
    return JudgePrompts(settings["system"], user)


def prompt_hash(version: str) -> str:
    """SHA-256 of the prompt file and of the code that asks it and reads the answers."""
    return files_hash(_PACKAGE, prompt_file(version), "judge.py", "parsing.py", "prompting.py")


def prompt_file(version: str) -> str:
    """Where a version lies within this package."""
    return f"prompts/{version}.yaml"
