"""What a language model is asked: the messages of one request, from a versioned prompt file."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

import yaml

from models.chat.messages import Messages
from models.engines import WriteRequest
from models.vocabulary.revisions import files_hash
from storage.records import Entity, EntityKind

_PACKAGE = "models.writers.language_model"


@dataclass(frozen=True, slots=True)
class Prompts:
    """The templates of one version; `$name` is filled in."""

    findings: Messages
    impression: Messages
    structured: Messages
    items: dict[str, str]
    patient: dict[str, str]

    def ask_findings(self, request: WriteRequest) -> Messages:
        """Ask for the FINDINGS that say what was requested."""
        return self._ask(self.findings, request)

    def ask_impression(self, findings: str) -> Messages:
        """Ask for the IMPRESSION of written FINDINGS."""
        user = Template(self.impression.user).substitute(findings=findings)
        return Messages(self.impression.system, user)

    def ask_report(self, request: WriteRequest) -> Messages:
        """Ask for both sections at once, as a JSON object."""
        return self._ask(self.structured, request)

    def _ask(self, templates: Messages, request: WriteRequest) -> Messages:
        lines = [self._item(entity) for entity in request.entities]
        user = Template(templates.user).substitute(
            view=str(request.view),
            patient=self._patient(request),
            entities="\n".join(lines) or self.items["none"],
        )
        return Messages(templates.system, user)

    def _item(self, entity: Entity) -> str:
        is_anatomy = entity.kind is EntityKind.ANATOMY
        details = [self.items["anatomy" if is_anatomy else entity.status]]
        if entity.severity is not None:
            details.append(Template(self.items["severity"]).substitute(severity=entity.severity))
        if entity.anatomy is not None:
            details.append(Template(self.items["place"]).substitute(anatomy=entity.anatomy))
        return f"- {entity.text}: {', '.join(details)}"

    def _patient(self, request: WriteRequest) -> str:
        known = [self.patient[request.sex]] if request.sex is not None else []
        if request.age_years is not None:
            known.append(Template(self.patient["age"]).substitute(age=request.age_years))
        return ", ".join(known) or self.patient["unknown"]


@cache
def load_prompts(version: str) -> Prompts:
    """Read the prompt file of a version."""
    text = files(_PACKAGE).joinpath(prompt_file(version)).read_text()
    settings = yaml.safe_load(text)
    asked = {name: Messages(**settings[name]) for name in ("findings", "impression", "structured")}
    return Prompts(items=settings["items"], patient=settings["patient"], **asked)


def prompt_hash(version: str) -> str:
    """SHA-256 of the prompt file and of the code that fills it in and reads the answers."""
    return files_hash(_PACKAGE, prompt_file(version), "parsing.py", "prompting.py", "writer.py")


def prompt_file(version: str) -> str:
    """Where a version lies within this package."""
    return f"prompts/{version}.yaml"
