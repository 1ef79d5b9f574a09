"""A multimodal checkpoint small enough for a CPU: LLaVA of two layers with random weights."""

from pathlib import Path

from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from models.judges.prompting import load_prompts
from tests.models.judges.answers import answer_text

IMAGE, END = "<image>", "</s>"
IMAGE_SIDE_PX, PATCH_PX = 56, 14
CONTEXT_TOKENS = 4096
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}\n{% endfor %}assistant: "
)


def build_llava(folder: Path) -> Path:
    """Write config, tokenizer and processor; the weights are the server's own random ones.

    vLLM 0.32 reads other parameter names than transformers 5 writes, so that it is told to fill
    the weights in (`--load-format dummy`).
    """
    tokenizer = _tokenizer()
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_TOKENS,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        bos_token_id=None,
        pad_token_id=None,
    )
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=IMAGE_SIDE_PX,
        patch_size=PATCH_PX,
        projection_dim=64,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(IMAGE_SIDE_PX // PATCH_PX) ** 2,
        architectures=["LlavaForConditionalGeneration"],
    )
    side = {"height": IMAGE_SIDE_PX, "width": IMAGE_SIDE_PX}
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size=side, crop_size=side),
        tokenizer=tokenizer,
        patch_size=PATCH_PX,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    config.save_pretrained(folder)
    save_file({}, folder / "model.safetensors")
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """Of ASCII alone, with merges learnt from the questions: a token is a character or more."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    prompts = load_prompts("v1")
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=[END, IMAGE],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    tokenizer.train_from_iterator([prompts.system, prompts.user, answer_text()], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, image_token=IMAGE
    )
