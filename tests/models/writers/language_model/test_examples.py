import json

from models.writers.language_model.configs import EndpointConfig
from models.writers.language_model.examples import prompts_hash, prompts_of
from models.writers.language_model.fit import longest_chats
from models.writers.language_model.prompting import load_prompts, prompt_hash
from storage.records import Report

SHOWN = (Report('Heart is "big".', "Big heart."), Report("Lungs clear.", "Normal."))
ANY = EndpointConfig(address="http://127.0.0.1:9/v1", model="tiny")
NAMED = EndpointConfig.model_validate(ANY.model_dump() | {"examples": {"corpus": "mine"}})


def test_prompts_without_examples_are_those_of_the_version() -> None:
    assert prompts_of(ANY) == load_prompts("v1")
    assert prompts_hash(ANY) == prompt_hash("v1")


def test_examples_end_what_the_model_is_told_each_pass_with_what_it_writes() -> None:
    shown, plain = prompts_of(NAMED.with_examples(SHOWN)), load_prompts("v1")
    assert shown.findings.system.startswith(plain.findings.system)
    assert shown.findings.system.endswith('FINDINGS: Heart is "big".\n\nFINDINGS: Lungs clear.')
    assert shown.impression.system.endswith("FINDINGS: Lungs clear.\nIMPRESSION: Normal.")
    last = shown.structured.system.splitlines()[-1]
    assert json.loads(last) == {"findings": "Lungs clear.", "impression": "Normal."}
    assert shown.findings.user == plain.findings.user


def test_examples_enter_the_hash_in_their_order_and_no_dump() -> None:
    one, other = NAMED.with_examples(SHOWN), NAMED.with_examples(SHOWN[::-1])
    assert len({prompts_hash(config) for config in (ANY, one, other)}) == 3
    assert one.model_dump_json() == NAMED.model_dump_json()
    assert "Heart" not in repr(one) + one.model_dump_json()


def test_examples_count_in_the_longest_chat() -> None:
    lengths = [
        len(longest_chats(config)[0][0].system) for config in (ANY, NAMED.with_examples(SHOWN))
    ]
    assert lengths[1] > lengths[0] + len(SHOWN[0].findings)
