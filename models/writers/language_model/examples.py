"""Few-shot examples: real reports at the end of what a language model is told to be.

There and not in what it is asked, so that a server that keeps the beginnings of prompts reads them
once, and so that the prompt stored with every report holds none of their text.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from models.chat.messages import Messages
from models.vocabulary.revisions import files_hash, joined_hash
from models.writers.language_model.configs import LanguageModelConfig
from models.writers.language_model.prompting import Prompts, load_prompts, prompt_hash
from storage.records import Report

_INTRODUCTION = (
    "Examples of other patients follow. Take their style and wording, and none of their content."
)


def prompts_of(config: LanguageModelConfig) -> Prompts:
    """The prompts of a config's version, with the real reports that it shows."""
    prompts, shown = load_prompts(config.prompt), config.shown_reports()
    if not shown:
        return prompts
    findings = [f"FINDINGS: {report.findings}" for report in shown]
    both = [f"FINDINGS: {report.findings}\nIMPRESSION: {report.impression}" for report in shown]
    return replace(
        prompts,
        findings=_with_examples(prompts.findings, findings),
        impression=_with_examples(prompts.impression, both),
        structured=_with_examples(prompts.structured, [_as_json(report) for report in shown]),
    )


def prompts_hash(config: LanguageModelConfig) -> str:
    """SHA-256 of the prompt file, of the code around it, and of the reports that are shown."""
    template, shown = prompt_hash(config.prompt), config.shown_reports()
    if not shown:
        return template
    code = files_hash("models.writers.language_model", "examples.py")
    return joined_hash(template, code, *map(_as_json, shown))


def _with_examples(messages: Messages, examples: Sequence[str]) -> Messages:
    return replace(messages, system="\n\n".join((messages.system, _INTRODUCTION, *examples)))


def _as_json(report: Report) -> str:
    sections = {"findings": report.findings, "impression": report.impression}
    return json.dumps(sections, ensure_ascii=False)
